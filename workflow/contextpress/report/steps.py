"""Steps of the report room."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.report import claims
from contextpress.report.cards import card
from contextpress.report.spec import CardsSpec, SummarySpec
from contextpress.report.summary import Figure, compose
from contextpress.runtime.errors import UserError
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
    """Write the summary of a study: verdicts, figures, what was learned, run and spent.

    A figure's caption is the one of the same name (grid.png, grid.rst).

    Raises:
        UserError: if a figure has no caption.
    """
    said = {path.stem: path.read_text(encoding="utf-8") for path in captions}
    missing = [path.name for path in figures if path.stem not in said]
    if missing:
        raise UserError(f"figure {missing[0]} has no caption; captions are {', '.join(sorted(said))}")
    text = compose(
        spec.study,
        spec.domain,
        read_table(observations, OBSERVATIONS),
        [read_json(path) for path in findings],
        [Figure(path, said[path.stem]) for path in figures],
        [read_json(path) for path in records],
        output.parent,
    )
    write_text(output, text)


def findings(
    *,
    spec: SummarySpec,
    observations: Path,
    findings: list[Path],
    grid_effects: Path,
    specification: Path,
    ladder: Path,
    cramming: Path,
    output: Path,
) -> None:
    """Write each claim at length: what was measured, what the paper reports, and what may be concluded."""
    text = claims.compose(
        spec.study,
        read_table(observations, OBSERVATIONS),
        [read_json(path) for path in findings],
        pd.read_csv(grid_effects, dtype={"ratio": str}),
        pd.read_csv(specification),
        pd.read_csv(ladder),
        read_json(cramming),
    )
    write_text(output, text)


def cards(*, spec: CardsSpec, observations: Path, compressors: list[Path], output: list[Path]) -> None:
    """Write the model card of each compressor: what it was trained on, how well it does, how it is used."""
    rows = read_table(observations, OBSERVATIONS)
    for described, folder, path in zip(spec.compressors, compressors, output, strict=True):
        write_text(path, card(spec, described, folder, rows))
