"""What the reports of a study depend on, beside their inputs."""

from __future__ import annotations

from pydantic import Field

from contextpress.analysis.spec import CompressorDescription
from contextpress.figures.spec import DrawnMeasure
from contextpress.runtime.spec import Spec


class SummarySpec(Spec):
    """What a summary calls things."""

    study: str = Field(description="name of the study, for the title")
    domain: str = Field(
        default="prose", description="domain whose learning facts are told; all domains if there is none such"
    )


class ExplorerSpec(Spec):
    """What an explorer shows, and first."""

    study: str = Field(description="name of the study, for the title")
    measure: DrawnMeasure = Field(description="measure on the vertical axis until another is chosen")
    compressors: tuple[CompressorDescription, ...] = Field(
        min_length=1, description="in the order in which their reconstructions are given"
    )
