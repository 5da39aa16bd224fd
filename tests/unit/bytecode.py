"""Which modules of the package a step needs, found in compiled code: a second way beside `runtime/closure.py`."""

from __future__ import annotations

import dis
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType

PACKAGE = Path(__file__).resolve().parents[2] / "workflow/contextpress"


def files_of_step(room: str, step: str) -> set[str]:
    """Files of the package that the command for this step loads and the step uses, relative to the package."""
    steps = f"contextpress.{room}.steps"
    found = {"cli.py"} | _around(steps)
    waiting = [*_names_of(steps, step), *_imports("contextpress.cli")]
    while waiting:
        module = waiting.pop()
        if (file := _file(module)) and file not in found:
            found |= _around(module)
            waiting += _imports(module)
    return found


def _around(module: str) -> set[str]:
    """The file of a module, and those of the packages that it lies in, which import nothing."""
    parts = module.split(".")
    files = {_file(".".join(parts[:end])) for end in range(1, len(parts) + 1)}
    return {file for file in files if file}


def _file(module: str) -> str | None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.relative_to(PACKAGE).as_posix()
    return None


@cache
def _code(module: str) -> CodeType:
    path = PACKAGE / str(_file(module))
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports anywhere."""
    return frozenset(name for code in _nested(_code(module)) for name in _imported(dis.get_instructions(code)))


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _imported(instructions: Iterable[dis.Instruction]) -> Iterator[str]:
    names: tuple[str, ...] = ()
    for instruction in instructions:
        if instruction.opname == "LOAD_CONST":
            names = instruction.argval if isinstance(instruction.argval, tuple) else ()
        elif instruction.opname == "IMPORT_NAME" and instruction.argval.split(".")[0] == "contextpress":
            yield instruction.argval
            yield from (f"{instruction.argval}.{name}" for name in names)


def _names_of(module: str, step: str) -> set[str]:
    """Modules behind the names that a function of a module refers to, itself or by way of its neighbours."""
    modules: defaultdict[str, set[str]] = defaultdict(set)  # by the name that stands for something out of them
    uses: defaultdict[str, set[str]] = defaultdict(set)  # names that a name of the module is made with
    source, seen = "", set[str]()
    for instruction in dis.get_instructions(_code(module)):
        value = instruction.argval
        if instruction.opname == "IMPORT_NAME":
            source = value
            uses.pop("", None)  # the names that it imports
        elif instruction.opname == "IMPORT_FROM":
            seen = {f"{source}.{value}", source}
        elif instruction.opname == "LOAD_NAME":
            uses[""].add(value)
        elif instruction.opname == "LOAD_CONST":
            if isinstance(value, CodeType):
                for code in _nested(value):
                    inside = list(dis.get_instructions(code))
                    uses[""] |= {found.argval for found in inside if found.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
                    modules[""] |= set(_imported(inside))
            else:  # annotations are kept as text; that of a code object would name the folder of the checkout
                uses[""] |= set(re.findall(r"\w+", str(value)))
        elif instruction.opname == "STORE_NAME":
            modules[value] |= seen | modules.pop("", set())
            uses[value] |= uses.pop("", set())
            seen = set()
    needed, waiting = set(), [step]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += uses[name]
    return {found for name in needed for found in modules[name]}
