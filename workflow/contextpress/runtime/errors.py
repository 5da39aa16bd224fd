"""The one exception a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in configuration, data or surroundings that the user can mend.

    The message is one line: what is wrong, where, and what is allowed. It is shown without a traceback. What would
    move the cursor of a terminal, or cannot be shown, is written as an escape.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))


def first_line(error: Exception) -> str:
    """The first line of another library's message, without its full stop; the error's kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" .:")
