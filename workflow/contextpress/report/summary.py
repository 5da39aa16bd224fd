"""The summary of a study as Markdown: verdicts first, then the figures, then what stands behind them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from contextpress.report import facts, records
from contextpress.report.markdown import bullets, interval, p_value, table
from contextpress.report.spec import CLAIMS_OF_FIGURES

LIMITS = (
    "Models that a study pretrains itself are small (those of the default study by two to three orders of magnitude "
    "smaller than the paper's), so its qualities are not to be compared with published ones, and an effect may be "
    "larger, smaller or absent at scale. The text that comes with the pipeline is English and technical, cut from "
    "documentation and source code, so what is found on it need not hold for other languages or kinds of text."
)


@dataclass(frozen=True)
class Figure:
    """A figure as the summary shows it."""

    path: Path
    caption: str


def compose(
    study: str,
    domain: str,
    observations: pd.DataFrame,
    findings: Sequence[dict[str, Any]],
    practice: Sequence[dict[str, Any]],
    figures: Sequence[Figure],
    recorded: Sequence[records.Record],
    folder: Path,
) -> str:
    """The text of a summary that is to lie in ``folder``."""
    sections = {
        "Verdicts": verdicts(findings, practice),
        "Figures": illustrations(figures, folder),
        "What was learned": facts.learned(observations, domain),
        "What was run": facts.run(observations),
        "Compressors that do not use their memory": facts.unused(observations),
        "Cost": records.cost(recorded),
        "Versions": records.versions(recorded),
        "Limits": LIMITS,
    }
    parts = [f"# Study {study}", *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def verdicts(findings: Sequence[dict[str, Any]], practice: Sequence[dict[str, Any]]) -> str:
    """The table of the claims, then what each effect is and why its verdict is what it is.

    ``practice`` are findings on what follows from the claims, which have tests of their own: a table below.
    """
    ordered = sorted(findings, key=lambda finding: finding["claim"])
    head = ["claim", "statement", "effect [95 % interval]", "p adjusted", "n", "clusters", "verdict"]
    rows = [
        [
            finding["claim"],
            finding["statement"],
            interval(finding["effect"], finding["ci95"]),
            p_value(finding["p_adjusted"]),
            f"{finding['n']:,}",
            f"{finding['clusters']:,}",
            f"**{finding['verdict']}**",
        ]
        for finding in ordered
    ]
    reasons = [f"{finding['claim']}: {finding['effect_name']}. {_sentence(finding['reason'])}" for finding in ordered]
    notes = []
    for family in (finding["family"] for finding in ordered[:1]):
        unit = "documents" if family["cluster"] == "document_id" else "source files"
        notes.append(
            f"p-values are corrected for {len(family['members'])} tests ({family['correction']}, alpha "
            f"{family['alpha']:g}); that of C2 is of equivalence: small when a relationship is shown to be small. "
            f"Intervals: bootstrap of {unit} ({family['bootstrap_draws']:,} draws) and the scatter between training "
            f"runs; clusters are {unit}, n counts passages x compressors."
        )
    parts = [table(head, rows, numbers=head[3:6]), bullets(reasons), *notes]
    if practice:
        head = ["what follows in practice", "effect [95 % interval]", "n", "clusters", "verdict"]
        rows = [
            [
                finding["statement"],
                interval(finding["effect"], finding["ci95"]),
                f"{finding['n']:,}",
                f"{finding['clusters']:,}",
                f"**{finding['verdict']}**",
            ]
            for finding in practice
        ]
        reasons = [f"{_sentence(one['effect_name'])} {_sentence(one['reason'] or '')}".strip() for one in practice]
        parts += [table(head, rows, numbers=head[2:4]), bullets(reasons)]
    return "\n\n".join(parts)


def illustrations(figures: Sequence[Figure], folder: Path) -> str:
    """The figures with their captions, by paths relative to ``folder``; those that are not known come last."""
    known = tuple(CLAIMS_OF_FIGURES)
    names = [*known, *(figure.path.stem for figure in figures if figure.path.stem not in known)]
    parts = []
    for index, figure in enumerate(sorted(figures, key=lambda figure: names.index(figure.path.stem)), start=1):
        relative = Path(os.path.relpath(figure.path, folder)).as_posix()
        title = figure.path.stem.replace("_", " ")
        parts.append(f"![{title}]({relative})\n\n**Figure {index}, {title}.** {' '.join(figure.caption.split())}")
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."
