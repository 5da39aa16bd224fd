"""Where the docstrings and comments of a Python file are, found by its quotes and hashes alone.

Parsing the file would be ten times slower and depend on the version of Python. Nothing is executed.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\#[^\n]*
    | \"{3}[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*\"{3}
    | '{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'{3}
    | "[^"\\\n]*(?:\\.[^"\\\n]*)*"
    | '[^'\\\n]*(?:\\.[^'\\\n]*)*'""",
    re.VERBOSE | re.DOTALL,
)
_LINE_END = re.compile(r"[ \t]*(?:\#[^\n]*)?(?:\n|\Z)")
_RETURNS = re.compile(r"->[^\n]*\Z")

Span = tuple[int, int]  # first character and the one after the last


@dataclass
class PythonSource:
    """A file's text, with the spans of its docstrings (quotes included) and of its comments, in order."""

    text: str
    docstrings: list[Span] = field(default_factory=list)
    comments: list[Span] = field(default_factory=list)  # on lines of their own
    remarks: list[Span] = field(default_factory=list)  # at the end of a line of code

    def __post_init__(self) -> None:
        text, code_end = self.text, 0  # code_end: after the last code met, comments not counted
        for match in _TOKEN.finditer(text):
            start, end = match.span()
            line = text.rfind("\n", 0, start) + 1
            if text[start] == "#":
                if text[line:start].isspace() or line == start:
                    self.comments.append((start, end))
                else:
                    self.remarks.append((start, end))
                continue
            prefix = text[line:start].lstrip()
            if prefix.lower() in ("", "r", "u") and _LINE_END.match(text, end) and self._opens_body(code_end, line):
                self.docstrings.append((start - len(prefix), end))
            code_end = end

    def _opens_body(self, code_end: int, line: int) -> bool:
        """Whether what stands before ``line`` is the colon of a definition, or nothing at all."""
        between = self.text[code_end:line]
        if "#" in between:
            between = re.sub(r"#[^\n]*", "", between)
        between = between.rstrip()
        if not between:
            return code_end == 0
        if not between.endswith(":"):
            return False
        # "key": of a dictionary, unless the quotes are an annotation.
        before = between[:-1].rstrip()
        return bool(before) or _RETURNS.search(self.text[:code_end][-200:]) is not None

    def docstring_texts(self) -> list[str]:
        """What the docstrings say, escapes resolved."""
        return [_value(self.text[start:end]) for start, end in self.docstrings]

    def comment_blocks(self) -> list[list[str]]:
        """The comments on lines of their own, without their hashes, grouped by the blocks they stand in."""
        groups: list[list[str]] = []
        last = -1
        for start, end in self.comments:
            between = self.text[last:start] if last >= 0 else ""
            if last < 0 or between.count("\n") != 1 or between.strip():
                groups.append([])
            comment = self.text[start:end].lstrip("#!:").strip()
            groups[-1].append(comment if any(map(str.isalnum, comment)) else "")  # a line drawn is a break
            last = end
        return groups

    def bare_lines(self) -> list[str]:
        """The lines of the file without docstrings and comments."""
        pieces: list[str] = []
        place = 0
        whole = [(start, end, True) for start, end in self.docstrings + self.comments]
        for start, end, is_whole in sorted(whole + [(start, end, False) for start, end in self.remarks]):
            if start < place:
                continue  # a comment behind a docstring, gone with its line
            first, after = start, end
            if is_whole:
                first = self.text.rfind("\n", 0, start) + 1
                after = self.text.find("\n", end) + 1 or len(self.text)
            pieces.append(self.text[place:first])
            place = after
        pieces.append(self.text[place:])
        return [line.rstrip() for line in "".join(pieces).split("\n")]


def _value(literal: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in the file is its author's affair
            value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return ""
    return value if isinstance(value, str) else ""
