"""The user's own text, from a file or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import decoded

STANDARD_INPUT = "standard input"


def text_of(path: Path) -> str:
    """Text of a file.

    Raises:
        UserError: if it cannot be read, is empty or is not text in UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return _text(str(path), data)


def text_of_input() -> str:
    """Text of standard input.

    Raises:
        UserError: as ``text_of``.
    """
    return _text(STANDARD_INPUT, sys.stdin.buffer.read())


def _text(name: str, data: bytes) -> str:
    if not data.strip():
        raise UserError(f"{name} is empty")
    return decoded(name, data)
