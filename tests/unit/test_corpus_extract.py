"""Readers of source files, against Python's own tokenizer and parser."""

import ast
import io
import json
import tokenize
from pathlib import Path

import pytest

from contextpress.corpus import extract
from contextpress.corpus.python_source import PythonSource

MODULE = '''#!/usr/bin/env python
# Licensed to whom it may concern.
r"""The module says \\alpha # here."""

import os  # for paths

TABLE = {
    "key":
        """not a docstring""",  # a remark
    'hash': "# not a comment",
}

# The comment explains to the reader why the function below is written as it is,
# and it is long enough to be a paragraph of prose that the filter accepts.
# --
@decorator(x="#")
def area(width, height=(1, 2)) -> "Number":
    """Return the area.

    The area of a shape is the number of unit squares that it holds, and it is
    the product of the width and the height for any rectangle in the plane.

    Parameters
    ----------
    width : float
        How wide the shape is, in the unit of your choice.

    Returns
    -------
    float
        The area of the shape, in squares of the unit.

    Notes
    -----
    It is of no use to anyone who has to find the area of a shape that is not a rectangle.

    Examples
    --------
    >>> area(2, 3)
    6
    >>> area(width=200, height=300) == 60000
    True
    """
    text = """
    # inside a string
    """ + 'it\\'s # not' + f"{width}#"
    return width * height  # done


class Shape:  # a shape
    # of any kind
    "One line."

    def name(self):
        u"""Google manner.

        Args:
            self: the shape whose name is asked for,
                whatever it is.

        Returns:
            A name that is fit for the shape and for you and me.

        After the block comes a sentence that is long enough for the filter to keep it as prose.
        """
        if True:
            def inner(): """On one line with its def."""
'''


def test_docstrings_are_those_of_the_parser() -> None:
    tree = ast.parse(MODULE)
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    wanted = {ast.get_docstring(node, clean=False) for node in nodes if ast.get_docstring(node)}
    wanted.discard("On one line with its def.")  # left in the code, or the def would go with it
    assert set(PythonSource(MODULE).docstring_texts()) == wanted
    assert len(wanted) == 4


def _comments(text: str) -> list[str]:
    return [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]


def test_comments_are_those_of_the_tokenizer() -> None:
    source = PythonSource(MODULE)
    assert [MODULE[a:b] for a, b in sorted(source.comments + source.remarks)] == _comments(MODULE)


@pytest.mark.parametrize("module", [ast, json, io, tokenize, pytest], ids=lambda module: module.__name__)
def test_code_of_real_modules_has_no_comment_and_no_docstring(module) -> None:
    text = Path(module.__file__).read_text(encoding="utf-8")
    source = PythonSource(text)
    assert [text[a:b] for a, b in sorted(source.comments + source.remarks)] == _comments(text)
    bare = "\n".join(source.bare_lines())
    assert _without_strings_alone(ast.parse(_filled(bare))) == _without_strings_alone(ast.parse(text))


def _filled(bare: str) -> str:
    """A body that was a docstring alone is empty now; give it a statement again."""
    lines = bare.split("\n")
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if line.lstrip().startswith(("def ", "class ", "async def ")) and line.endswith(":"):
            rest = next((after for after in lines[number + 1 :] if after.strip()), "")
            indent = len(line) - len(line.lstrip())
            if len(rest) - len(rest.lstrip()) <= indent:
                lines.insert(number + 1, " " * (indent + 4) + "'empty'")
    return "\n".join(lines)


def _without_strings_alone(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if hasattr(node, "body") and isinstance(node.body, list):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return ast.dump(tree)


def test_units_of_a_module() -> None:
    units = extract.python_units(MODULE, ["prose", "apiref", "examples", "code"])
    assert units["prose"] == [
        "The area of a shape is the number of unit squares that it holds, and it is the product of the width and the "
        "height for any rectangle in the plane.",
        "It is of no use to anyone who has to find the area of a shape that is not a rectangle.",
        "After the block comes a sentence that is long enough for the filter to keep it as prose.",
        "The comment explains to the reader why the function below is written as it is, and it is long enough to be a "
        "paragraph of prose that the filter accepts.",
    ]
    assert [unit.split("\n")[0] for unit in units["apiref"]] == ["Parameters", "Returns", "Args:", "Returns:"]
    assert units["apiref"][0].endswith("in the unit of your choice.")
    assert units["examples"] == [">>> area(2, 3)\n6\n>>> area(width=200, height=300) == 60000\nTrue"]
    assert len(units["code"]) == 1
    assert "squares" not in units["code"][0]
    assert "# inside a string" in units["code"][0]


def test_a_fence_is_no_part_of_an_example() -> None:
    block = ">>> from shapes import area\n>>> area(width=200, height=300) == 60000\nTrue"
    assert extract.docstring_units(f"Area.\n\nExample:\n```python\n{block}\n```\n")["examples"] == [block]


def test_only_wanted_domains_come_back() -> None:
    assert extract.python_units("x = 1\n", ["examples", "apiref"]) == {}


def test_a_broken_file_is_no_error() -> None:
    assert extract.python_units('def f(:\n    """never closed\n', ["prose", "code"])["prose"] == []


def test_field_lists_are_interface() -> None:
    fields = ":param name: the name of what is to be done,\n    which may be long\n:returns: nothing at all"
    assert extract.docstring_units(f"Do it.\n\n{fields}\n\nEnd.")["apiref"] == [fields]


def test_blocks_hold_forty_lines() -> None:
    text = "\n".join(f"int value_{i} = compute_something({i});" for i in range(90))
    assert [unit.count("\n") + 1 for unit in extract.line_units(text)] == [40, 40, 10]


def test_tables_keep_numeric_rows_only() -> None:
    text = "name,year,value\n1.5,1990,2.25\nsee the notes of 1990, page 3\n2.5e-3,1991,-7\nA,B,C,D,E,F\n"
    assert list(extract.table_units(text)) == ["1.5,1990,2.25\n2.5e-3,1991,-7"]
