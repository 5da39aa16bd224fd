"""Readers: one source file in, the units of text of each domain out, in the order of the file.

A unit is a paragraph, a section of a docstring, or a block of at most 40 lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from itertools import groupby, islice

from contextpress.corpus.filters import is_prose, is_source, unwrapped
from contextpress.corpus.python_source import PythonSource

BLOCK = 40  # lines of source in a unit

_API = {
    *("Parameters", "Other Parameters", "Returns", "Return", "Yields", "Receives", "Raises", "Warns", "Attributes"),
    *("Args", "Arguments", "Keyword Args", "Keyword Arguments"),
}
_API_HINT = re.compile(rf"^\s*(?:{'|'.join(sorted(_API))}):?\s*$|^\s*:(?:param|returns?|raises)\b", re.MULTILINE)
_RULE = re.compile(r"\s*[-=~]{3,}\s*")
_GOOGLE = re.compile(r"(\s*)([A-Z][A-Za-z ]+):\s*")
_FIELD = re.compile(r"\s*:(?:param|type|arg|key|keyword|var|ivar|return|returns|rtype|raise|raises)\b[^:]*:")
_LISTED = re.compile(r"\s*(?:[-*+] |\.\. |\d+[.)] |[|=#>~]|:\w)")

_NO_SPACE = str.maketrans("", "", " \t")
_NO_DIGIT = str.maketrans("", "", " \t0123456789")
_NO_NUMBER = str.maketrans("", "", " \t0123456789.,;+-:/eE")


def python_units(text: str, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Units of a Python file for the wanted domains among prose, apiref, examples, code and tests."""
    wanted = {domain for domain in wanted if _may_have(text, domain)}
    units: dict[str, list[str]] = {domain: [] for domain in wanted}
    if not wanted:
        return units
    source = PythonSource(text)
    if wanted & {"prose", "apiref", "examples"}:
        for docstring in source.docstring_texts():
            for domain, found in docstring_units(docstring).items():
                if domain in wanted:
                    units[domain] += found
    if "prose" in wanted:
        for block in source.comment_blocks():
            for paragraph in paragraphs(block):
                units["prose"] += _prose(paragraph)
    for domain in wanted & {"code", "tests"}:
        units[domain] = list(blocks(source.bare_lines()))
    return units


def docstring_units(docstring: str) -> dict[str, list[str]]:
    """The prose paragraphs, the interface sections and the doctest block of one docstring."""
    prose: list[str] = []
    interface: list[str] = []
    examples: list[str] = []
    for is_interface, lines in _sections(cleandoc(docstring).splitlines()):
        if is_interface:
            section = "\n".join(line.rstrip() for line in lines).strip()
            if len(section) >= 60:
                interface.append(section)
            continue
        for paragraph in paragraphs(_without_marks(lines)):
            prompts = [number for number, line in enumerate(paragraph) if line.lstrip().startswith(">>>")]
            first = prompts[0] if prompts else len(paragraph)
            prose += _prose(paragraph[:first])
            if prompts:
                examples.append(textwrap.dedent("\n".join(paragraph[first:])))
    joined = "\n".join(examples)
    return {"prose": prose, "apiref": interface, "examples": [joined] if len(joined) >= 60 else []}


def line_units(text: str) -> Iterator[str]:
    """Units of a source or configuration file: blocks of 40 lines that read as written source."""
    return blocks(line.rstrip() for line in text.split("\n"))


def table_units(text: str) -> Iterator[str]:
    """Units of a file of numbers: blocks of 40 rows that are mostly digits, separators and signs."""
    return _chunks(row.rstrip() for row in text.split("\n") if _is_numeric(row))


def record_units(lines: Iterable[str]) -> Iterator[str]:
    """Units of a file list: blocks of 40 of its lines."""
    return _chunks(lines)


def paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones."""
    for filled, run in groupby(lines, key=lambda line: bool(line.strip())):
        if filled:
            yield list(run)


def blocks(lines: Iterable[str]) -> Iterator[str]:
    """Blocks of 40 lines that read as source; of several blank lines one is kept."""
    return filter(is_source, _chunks(_single_spaced(lines)))


def _single_spaced(lines: Iterable[str]) -> Iterator[str]:
    last = ""
    for line in lines:
        if line or last:
            yield line
        last = line


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    rest = iter(lines)
    while chunk := list(islice(rest, BLOCK)):
        if text := "\n".join(chunk).strip("\n"):
            yield text


def _may_have(text: str, domain: str) -> bool:
    # A look at the text that spares parsing a file without anything of the domain.
    if domain == "examples":
        return ">>> " in text
    if domain == "apiref":
        return _API_HINT.search(text) is not None
    return True


def _without_marks(lines: list[str]) -> list[str]:
    """``lines`` with a blank line for each underlined title, its rule, and each fence of a code block."""
    rules = {number for number in range(1, len(lines)) if lines[number - 1].strip() and _RULE.fullmatch(lines[number])}
    rules |= {number for number, line in enumerate(lines) if line.lstrip().startswith("```")}
    titles = {number - 1 for number in rules if _RULE.fullmatch(lines[number])}
    return ["" if number in rules | titles else line for number, line in enumerate(lines)]


def _prose(paragraph: list[str]) -> Iterator[str]:
    if len(" ".join(paragraph)) >= 80 and not any(_LISTED.match(line) for line in paragraph):
        text = unwrapped(" ".join(" ".join(paragraph).split()))
        if is_prose(text):
            yield text


def _sections(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Split a docstring into interface sections (True) and the rest (False), in order.

    Three manners are known: a title underlined (numpydoc), a title with a colon and a deeper block (Google), and
    field lists (reStructuredText).
    """
    labels = [False] * len(lines)
    heads = [False] * len(lines)
    number = 0
    while number < len(lines):
        end = _interface_end(lines, number)
        if end is None:
            number += 1
            continue
        labels[number:end] = [True] * (end - number)
        heads[number] = True
        number = max(end, number + 1)
    start = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or heads[number] or labels[number] != labels[start]:
            yield labels[start], lines[start:number]
            start = number


def _interface_end(lines: list[str], start: int) -> int | None:
    """The line after the interface section that begins at line ``start``, or None if none begins there."""
    line, below = lines[start], lines[start + 1] if start + 1 < len(lines) else ""
    if line.strip() in _API and _RULE.fullmatch(below):
        end = start + 2
        while end < len(lines) and not (
            end + 1 < len(lines) and lines[end].strip() and _RULE.fullmatch(lines[end + 1])
        ):
            end += 1
        return end
    google = _GOOGLE.fullmatch(line)
    if google and google[2] in _API:
        return _deeper_end(lines, start + 1, len(google[1]))
    if _FIELD.match(line):
        end = start + 1
        while end < len(lines) and (_FIELD.match(lines[end]) or lines[end].startswith("   ")):
            end += 1
        return end
    return None


def _deeper_end(lines: list[str], start: int, indent: int) -> int:
    end = start
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    return end


def _is_numeric(row: str) -> bool:
    if not 8 <= len(row) <= 1000:
        return False
    filled, words = len(row.translate(_NO_SPACE)), len(row.translate(_NO_NUMBER))
    return filled >= 8 and words <= 0.15 * filled and filled - len(row.translate(_NO_DIGIT)) >= 0.5 * filled
