"""The studies of a project, as commands name them."""

from __future__ import annotations

from pathlib import Path

from contextpress.runtime.errors import UserError

RESULTS = Path("results")


def known_studies() -> list[Path]:
    """The folders of studies in results/; each has logs."""
    return sorted(path.parent for path in RESULTS.glob("*/logs"))


def no_such_study(wanted: str) -> UserError:
    """What is told of a name that no study has."""
    names = ", ".join(path.name for path in known_studies()) or "none"
    return UserError(f"there is no study {wanted}; studies in {RESULTS.absolute()}: {names}")
