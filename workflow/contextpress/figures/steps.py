"""Steps of the figures room: one per figure. Each writes pdf, svg and png, and a caption as plain text (rst)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.figures import (
    buckets,
    budgets,
    calibrated,
    crammed,
    curves,
    decoder,
    dosed,
    effects,
    encoder,
    grid_panels,
    infused,
    mitigated,
    predicted,
    probed,
    rungs,
    specifications,
)
from contextpress.figures.spec import ClaimFigure, CrammingFigure, LearningCurvesFigure, MeasureFigure, TableFigure
from contextpress.figures.style import save, styled
from contextpress.runtime.files import read_json
from contextpress.runtime.history import HISTORY
from contextpress.runtime.tables import read_csv, read_table


def quality_by_bucket(
    *, spec: MeasureFigure, observations: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw quality by quantile bucket of encoder entropy, for every pair and ratio."""
    with styled(spec.style):
        save(buckets.draw(_rows(observations), spec), pdf, svg, png, caption)


def encoder_entropy(
    *, spec: ClaimFigure, observations: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw quality against encoder entropy, passage by passage (claim C1)."""
    with styled(spec.style):
        save(encoder.draw(_rows(observations), read_json(finding), spec), pdf, svg, png, caption)


def decoder_entropy(
    *, spec: ClaimFigure, observations: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw quality against decoder entropy, both given encoder entropy, with the equivalence bounds (claim C2)."""
    with styled(spec.style):
        save(decoder.draw(_rows(observations), read_json(finding), spec), pdf, svg, png, caption)


def grid(
    *, spec: ClaimFigure, observations: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw mean quality on the encoder x decoder grid, and what the gap costs (claim C3)."""
    with styled(spec.style):
        save(grid_panels.draw(_rows(observations), read_json(finding), spec), pdf, svg, png, caption)


def learning_curves(
    *,
    spec: LearningCurvesFigure,
    compressors: list[Path],
    models: list[Path],
    pdf: Path,
    svg: Path,
    png: Path,
    caption: Path,
) -> None:
    """Draw loss by step of every compressor and language model (their history tables, in the order of the spec)."""
    histories = [[read_table(path, HISTORY) for path in paths] for paths in (compressors, models)]
    with styled(spec.style):
        save(curves.draw(histories[0], histories[1], spec), pdf, svg, png, caption)


def cramming(
    *, spec: CrammingFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw what memory holds, crammed and from the compressors, by entropy of decoder and encoder."""
    with styled(spec.style):
        save(crammed.draw(read_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def predictor(*, spec: TableFigure, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw predicted against observed quality on what was held out from the predictor."""
    with styled(spec.style):
        save(predicted.draw(read_json(finding), spec), pdf, svg, png, caption)


def probe(*, spec: TableFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw answers to questions about records against the quality of the records' reconstructions."""
    with styled(spec.style):
        save(probed.draw(_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def mitigation(
    *, spec: TableFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw the share of the gap that each arm closes, beside longer training at the same cost."""
    with styled(spec.style):
        save(mitigated.draw(read_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def infusion(*, spec: TableFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw what each dose of the decoder's corpus gains and loses, and the collapse points."""
    with styled(spec.style):
        save(infused.draw(read_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def budget(*, spec: TableFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw quality against memory budget, uniform, by entropy, and otherwise."""
    with styled(spec.style):
        save(budgets.draw(read_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def dose_response(
    *, spec: TableFigure, table: Path, finding: Path, pdf: Path, svg: Path, png: Path, caption: Path
) -> None:
    """Draw measured entropy and quality against the true entropy rate of generated text."""
    with styled(spec.style):
        save(dosed.draw(pd.read_csv(table), read_json(finding), spec), pdf, svg, png, caption)


def ladder(*, spec: MeasureFigure, observations: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw quality on the control ladder of texts, and under the controls of memory."""
    with styled(spec.style):
        save(rungs.draw(_rows(observations), spec), pdf, svg, png, caption)


def specification(*, spec: TableFigure, table: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw the specification curve of claim C1 from the specification table."""
    with styled(spec.style):
        save(specifications.draw(_csv(table), spec), pdf, svg, png, caption)


def grid_effects(*, spec: TableFigure, table: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw encoder effect, decoder effect and interaction of the grid from their table (claim C3)."""
    with styled(spec.style):
        save(effects.draw(_csv(table), spec), pdf, svg, png, caption)


def calibration(*, spec: TableFigure, table: Path, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Draw false-positive rates and coverage of the claims' tests on simulated studies."""
    with styled(spec.style):
        save(calibrated.draw(_csv(table), spec), pdf, svg, png, caption)


def _csv(path: Path) -> pd.DataFrame:
    # A setting is a number or "all"; names such as "None" are names.
    return read_csv(path, dtype={"ratio": str}, keep_default_na=False, na_values=[""])


def _rows(path: Path) -> pd.DataFrame:
    return read_table(path, OBSERVATIONS)
