"""The import closure: which files of the package a step depends on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from contextpress.cli import ROOMS
from contextpress.runtime import closure as closure_module
from contextpress.runtime.closure import PACKAGE, closure
from tests.unit.bytecode import files_of_step


def names(*modules: str) -> set[str]:
    return {Path(path).relative_to(PACKAGE).as_posix() for path in closure(*modules)}


def test_the_closure_of_a_room_holds_what_it_imports_and_no_more():
    lm = names("contextpress.lm.steps")
    assert lm >= {"lm/__init__.py", "lm/steps.py", "lm/pretrain.py", "runtime/fit.py", "tokens/tokenizer.py"}
    assert {path.partition("/")[0] for path in lm} & {"figures", "report", "analysis", "compressor"} == set()
    assert "lm/pretrain.py" not in names("contextpress.figures.steps")
    assert "figures/style.py" in names("contextpress.figures.steps")
    assert "compressor/model.py" in names("contextpress.reconstruction.steps")
    for room in ROOMS:
        assert names(f"contextpress.{room}.steps") >= {"__init__.py", f"{room}/__init__.py"}


def test_the_command_depends_on_no_room():
    assert {path.partition("/")[0] for path in names("contextpress.cli")} <= {"__init__.py", "cli.py", "runtime"}


def test_runtime_imports_no_room():
    for path in (PACKAGE / "runtime").glob("*.py"):
        found = names(f"contextpress.runtime.{path.stem}")
        assert {name.partition("/")[0] for name in found} <= {"__init__.py", "runtime"}, path.name


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way_along_the_corridor(room):
    before = list(ROOMS)[: list(ROOMS).index(room) + 1]
    rooms = {name.partition("/")[0] for name in names(f"contextpress.{room}.steps")}
    assert rooms <= {*before, "runtime", "__init__.py"}


def test_every_import_of_the_package_can_be_followed():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import is not followed"


STEPS = [
    (room, node.name)
    for room in ROOMS
    for node in ast.parse((PACKAGE / room / "steps.py").read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
]


@pytest.mark.parametrize(("room", "step"), STEPS)
def test_the_closure_of_a_step_is_what_its_compiled_code_refers_to(room, step):
    assert names(f"contextpress.{room}.steps:{step}", "contextpress.cli") == files_of_step(room, step)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_only_defines_when_it_is_imported(path):
    """Else an edit to it could change a step that uses no name of it."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        never = isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING")
        assert isinstance(node, kinds) or text or never, f"line {node.lineno}"


def test_a_step_depends_on_what_it_uses_of_its_file(shop, tmp_path):
    (tmp_path / "shop/steps.py").write_text(
        "from shop.b import two as first, four\n"
        "import shop.base\n"
        "LIMIT = first.f\n"
        "def _help(): return LIMIT\n"
        "def one(): return _help()\n"
        "def other():\n    from shop.a import one\n"
        "def none(): pass\n"
    )
    assert shop("shop.steps:none") == {"__init__.py", "steps.py"}
    assert shop("shop.steps:one") == {"steps.py"} | shop("shop.b.two")
    assert shop("shop.steps:other") == {"steps.py"} | shop("shop.a.one")
    with pytest.raises(KeyError, match="two"):
        shop("shop.steps:two")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A small package to read."""
    files = {
        "__init__.py": "",
        "a/__init__.py": "import shop.base",
        "a/one.py": "import os\nfrom shop.b.two import thing",
        "b/__init__.py": "",
        "b/two.py": "def f():\n    from shop.b import three, absent\n",
        "b/three.py": "import shop.a.one\nimport json.decoder",  # back to where it began
        "b/four.py": "import shop.b.three as three",
        "base.py": "from shopping import cart",
    }
    for name, text in files.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_text(text)
    monkeypatch.setattr(closure_module, "PACKAGE", tmp_path / "shop")
    monkeypatch.setattr(closure_module, "ROOT", tmp_path)
    return lambda *modules: {Path(path).relative_to(tmp_path / "shop").as_posix() for path in closure(*modules)}


def test_imports_are_followed_wherever_they_stand(shop):
    found = shop("shop.a.one")
    assert found >= {"a/one.py", "a/__init__.py", "base.py", "b/__init__.py", "b/two.py", "b/three.py"}
    assert "b/four.py" not in found
    assert shop("shop.b.four") >= {"b/four.py", "b/three.py", "a/one.py", "b/two.py"}
    assert shop("shop.base") == {"__init__.py", "base.py"}


def test_every_package_around_a_module_counts(shop):
    assert shop("shop.b.two") >= {"__init__.py", "b/__init__.py"}


def test_the_closure_is_sorted_and_holds_each_file_once(shop):
    found = closure("shop.a.one", "shop.b.four", "shop.a.one")
    assert found == sorted(set(found))
    assert len(found) == len(shop("shop.a.one", "shop.b.four"))
