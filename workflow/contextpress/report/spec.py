"""What the reports of a study depend on, beside their inputs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from contextpress.analysis.spec import CompressorDescription, MemoryTest
from contextpress.figures.spec import DrawnMeasure
from contextpress.runtime.spec import Spec

# The figures of a study in the order of the claims they belong to, which summary and report keep.
CLAIMS_OF_FIGURES = {
    "encoder_entropy": "C1",
    "specification": "C1",
    "quality_by_bucket": "C1",
    "dose_response": "true entropy",
    "decoder_entropy": "C2",
    "grid": "C3",
    "grid_effects": "C3",
    "mitigation": "C3",
    "infusion": "C3",
    "ladder": "controls",
    "cramming": "bound",
    "predictor": "advice",
    "budget": "advice",
    "probe": "answers",
    "learning_curves": "training",
}


class SummarySpec(Spec):
    """What a summary calls things."""

    study: str = Field(description="name of the study, for the title")
    domain: str = Field(
        default="prose", description="domain whose learning facts are told; all domains if there is none such"
    )


class ConfigSpec(Spec):
    """What a study was asked."""

    config: dict[str, Any] = Field(description="keys and values, as a config file holds them")


class ExplorerSpec(Spec):
    """What an explorer shows, and first."""

    study: str = Field(description="name of the study, for the title")
    measure: DrawnMeasure = Field(description="measure on the vertical axis until another is chosen")
    compressors: tuple[CompressorDescription, ...] = Field(
        min_length=1, description="in the order in which their reconstructions are given"
    )


class Origin(Spec):
    """Where a language model comes from."""

    mixture: str | None = Field(description="what it was pretrained on in the study; empty: it was loaded")
    shares: dict[str, float] = Field({}, description="of the mixture's domains")
    load: str | None = Field(None, description="folder or hub id that it was loaded from")


class CardsSpec(Spec):
    """What the model cards of a study depend on, beside their inputs."""

    study: str = Field(description="name of the study")
    compressors: tuple[CompressorDescription, ...] = Field(min_length=1, description="in the order of the inputs")
    models: dict[str, Origin] = Field(description="language models by name")
    memory_test: MemoryTest = Field(description="by which the verdict on memory use is reached")
