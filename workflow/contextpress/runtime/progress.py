"""The line that a training prints of itself, and how it is read again from a log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

WIDTH = 24  # of the bar


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        name: of what is trained.
        done: steps done.
        steps: of the whole training.
        loss: mean of the last steps, nats per labelled token.
        speed: tokens per second.
        left: seconds to the end, by the time that the steps done took.
    """

    name: str
    done: int
    steps: int
    loss: float
    speed: float
    left: float

    def line(self) -> str:
        """One line, for people and for ``last``."""
        bar = "#" * (WIDTH * self.done // self.steps)
        return (
            f"{self.name} [{bar:<{WIDTH}}] {self.done}/{self.steps} loss {self.loss:.3f} {self.speed:,.0f} tokens/s "
            f"ETA {self.left:.0f} s"
        )

    @classmethod
    def all(cls, log: str) -> list[Self]:
        """What such lines of a log say."""
        return [
            cls(name, int(done), int(steps), float(loss), float(speed.replace(",", "")), float(left))
            for name, done, steps, loss, speed, left in _LINE.findall(log)
        ]

    @classmethod
    def last(cls, log: str) -> Self | None:
        """What the last such line of a log says; None if it has none."""
        return found[-1] if (found := cls.all(log)) else None


_LINE = re.compile(r"^(.+) \[[# ]+\] (\d+)/(\d+) loss (\S+) ([\d,]+) tokens/s ETA (\d+) s$", re.MULTILINE)
