"""Which files of the package a stage's result depends on."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent


def closure(*modules: str) -> list[str]:
    """Paths of the given modules of the package and of all package modules they import, sorted.

    Found by reading import statements, wherever in the file they stand, so that nothing heavy is imported. A
    package's own ``__init__`` counts with each of its modules.
    """
    found: set[Path] = set()
    waiting = [_file(module) for module in modules]
    while waiting:
        path = waiting.pop()
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(str(path) for path in found)


@cache
def _imports(path: Path) -> tuple[Path | None, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parents = [name.rpartition(".")[0] for name in names]
    return tuple(_file(name) for name in [*names, *parents] if name.split(".")[0] == PACKAGE.name)


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
