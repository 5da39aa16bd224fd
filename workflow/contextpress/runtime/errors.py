"""The one exception a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in configuration, data or surroundings that the user can mend.

    The message is one line: what is wrong, where, and what is allowed. It is shown without a traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
