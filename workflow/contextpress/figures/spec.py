"""What each figure depends on, and nothing else: a changed font size redraws figures and computes nothing anew."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contextpress.runtime.spec import Number, Spec, Whole

# The measures taken under every memory condition; a figure shows nll as its negative, so that up is always better.
DrawnMeasure = Literal[
    "nll",
    "accuracy",
    "bleu",
    "rouge_l",
    "token_f1",
    "prefix_match",
    "exact_match",
    "chrf",
    "edit_similarity",
]


class Style(Spec):
    """Sizes of a printed figure."""

    column: Number = Field(default=3.4, gt=2, lt=12, description="Width of a figure set in one column, inches.")
    page: Number = Field(default=7.0, gt=4, lt=24, description="Width of a figure set across the page, inches.")
    font_size: Number = Field(
        default=8.0, ge=5, le=24, description="Size of text in a figure, points; notes are a little less."
    )
    dpi: Whole = Field(
        default=300, ge=50, le=1200, description="Resolution of the PNG, dots per inch; 300 is fit for print."
    )


class Sample(Spec):
    """Which observations a figure shows and how their intervals are drawn; the same as the claims are tested on."""

    natural_only: bool = Field(default=True, description="Leave out generated text, whose entropy rate is known.")
    cluster: Literal["document_id", "source"] = Field(default="document_id", description="What the bootstrap draws.")
    draws: Whole = Field(default=1000, ge=100, le=100_000, description="Bootstrap draws behind every 95 % interval.")
    seed: Whole = Field(default=0, ge=0, description="Seed of the bootstrap.")


class FiguresConfig(Spec):
    """How the figures of a study look; those of a claim show the measure that the claim was tested on."""

    measure: DrawnMeasure = Field(
        default="token_f1", description="Quality shown by the figures that belong to no one claim."
    )
    draws: Whole = Field(
        default=1000, ge=100, le=100_000, description="Bootstrap draws of documents behind every interval."
    )
    style: Style = Style()


class MeasureFigure(Spec):
    """A figure of one quality measure over the observations."""

    measure: DrawnMeasure
    sample: Sample
    style: Style


class ClaimFigure(Spec):
    """The figure of a claim; measure, predictor and bounds are those that its finding says it was tested with."""

    sample: Sample
    style: Style


class TableFigure(Spec):
    """A figure of a table, whose rows say everything else."""

    style: Style


class CompressorCurve(Spec):
    """One compressor's history; ``matched`` if encoder and decoder were pretrained on the same data."""

    encoder: str
    decoder: str
    ratio: Whole
    seed: Whole
    matched: bool


class ModelCurve(Spec):
    """One language model's history."""

    model: str
    seed: Whole


class LearningCurvesFigure(Spec):
    """The trainings of a study, in the order in which their histories are given."""

    compressors: tuple[CompressorCurve, ...] = Field(min_length=1)
    models: tuple[ModelCurve, ...]  # none where all models are loaded
    style: Style


class CrammingFigure(Spec):
    """The figure of the cramming bound; what it shows is in its table."""

    style: Style
