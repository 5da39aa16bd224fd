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
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(str(path) for path in found)


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(path for name in names if name.split(".")[0] == PACKAGE.name for path in _files(name))


def _files(module: str) -> list[Path]:
    """The file of a module, and the ``__init__`` of each package that it lies in."""
    parts = module.split(".")
    bases = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    return [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
