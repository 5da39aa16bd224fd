"""Steps of the report room."""

from __future__ import annotations

from pathlib import Path

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.report.spec import SummarySpec
from contextpress.report.summary import Figure, write
from contextpress.runtime.files import read_json, write_text
from contextpress.runtime.tables import read_table


def summary(
    *,
    spec: SummarySpec,
    observations: Path,
    findings: list[Path],
    figures: list[Path],
    captions: list[Path],
    records: list[Path],
    output: Path,
) -> None:
    """Write the summary of a study: verdicts, figures, what was learned, run and spent."""
