"""What a user is meant to see: one line, no traceback."""

from __future__ import annotations

import os
import re
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS

TOO_LITTLE = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc", re.IGNORECASE)
REMEDIES = {
    **dict.fromkeys((ENOSPC, EDQUOT), "free some space"),
    **dict.fromkeys((EACCES, EPERM, EROFS), "make it writable"),
}


def printable(line: str) -> str:
    """A line with what would move the cursor of a terminal, or cannot be shown, written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class UserError(Exception):
    """A mistake in configuration, data or surroundings that the user can mend.

    The message is one line: what is wrong, where, and what is allowed. It is shown without a traceback, as
    ``printable`` has it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def first_line(error: Exception) -> str:
    """The first line of another library's message, without its full stop; the error's kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" .:")


def out_of_memory(error: BaseException) -> bool:
    """Whether main memory or a device's was too small: torch tells of it as a RuntimeError."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and bool(TOO_LITTLE.search(str(error)))
    )


def refusal(error: BaseException) -> str | None:
    """Why the operating system would not read or write, and what to do; None if the error is another one.

    Libraries written in Rust tell its number in their message only.
    """
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    if number is None:
        # Tidying up after it, a library may meet another error.
        return refusal(error.__context__) if error.__context__ and not error.__suppress_context__ else None
    remedy = REMEDIES.get(number)
    return os.strerror(number) + (f"; {remedy} and run the same command again" if remedy else "")
