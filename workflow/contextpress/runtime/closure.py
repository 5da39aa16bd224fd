"""Which files of the package a step's result depends on."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent


def closure(*sources: str) -> list[str]:
    """Paths of the given modules of the package and of all package modules they import, sorted.

    ``module:function`` stands for the module's own file and what that function needs: the imports behind the names
    that it uses, and behind those that its neighbours in the file use which it calls. This rests on modules that only
    define when they are imported, which a test checks.

    Found by reading import statements, wherever in the file they stand, so that nothing heavy is imported. A
    package's own ``__init__`` counts with each of its modules.

    Raises:
        KeyError: if a module has no such function.
    """
    found: set[Path] = set()
    waiting: list[Path] = []
    for source in sources:
        module, _, function = source.partition(":")
        files = _files(module)
        if function:
            found.add(files[-1])
            waiting += _imports_of(files[-1], function)
        waiting += files
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(str(path) for path in found)


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    return _imported(ast.walk(_parsed(path)))


def _imports_of(path: Path, function: str) -> tuple[Path, ...]:
    """What is imported for one function of a file: in it, and in whatever of the file it refers to."""
    bound: defaultdict[str, list[ast.stmt]] = defaultdict(list)
    needed: list[ast.AST] = []
    for statement in _parsed(path).body:
        parts = list(_bound(statement))
        needed += [] if parts else [statement]  # such as an `if`: it counts for every function
        for name, part in parts:
            bound[name].append(part)
    if function not in bound:
        raise KeyError(f"{path} has no {function}")
    used, waiting = {function}, [function]
    while waiting:
        defined = bound[waiting.pop()]
        needed += defined
        names = {node.id for part in defined for node in ast.walk(part) if isinstance(node, ast.Name)}
        waiting += (names & bound.keys()) - used
        used |= names
    return _imported(node for part in needed for node in ast.walk(part))


def _bound(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Names that a statement of a module defines, each with the part of the statement that defines it."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0], ast.Import([alias])
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name, ast.ImportFrom(statement.module, [alias], statement.level)
    elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name, statement
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, statement


def _imported(nodes: Iterable[ast.AST]) -> tuple[Path, ...]:
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(path for name in names if name.split(".")[0] == PACKAGE.name for path in _files(name))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _files(module: str) -> list[Path]:
    """The file of a module, after the ``__init__`` of each package that it lies in."""
    parts = module.split(".")
    bases = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    return [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
