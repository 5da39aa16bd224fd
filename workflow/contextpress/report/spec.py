"""What the summary of a study depends on, beside its inputs."""

from __future__ import annotations

from pydantic import Field

from contextpress.runtime.spec import Spec


class SummarySpec(Spec):
    """What a summary calls things."""

    study: str = Field(description="name of the study, for the title")
    domain: str = Field(
        default="prose", description="domain whose learning facts are told; all domains if there is none such"
    )
