"""What the tables of this room depend on, beside models and passages."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from contextpress.runtime.spec import Number, Spec, Whole, distinct


class ReconstructionSpec(Spec):
    """How passages are reconstructed."""

    batch: Whole = Field(240, gt=0, description="passages decoded side by side; bounds the memory needed")


class MistakesSpec(ReconstructionSpec):
    """What the decoder of one compressor writes in the place of training passages."""

    passages: Whole = Field(gt=0, description="of all domains together")
    domains: dict[str, float]
    window: Whole
    seed: Whole


class CrammingConfig(Spec):
    """The cramming bound: memory optimised passage by passage against each decoder, without an encoder."""

    passages: Whole = Field(20, gt=0, description="test passages per domain, or as many as there are")
    vectors: Annotated[tuple[Annotated[Whole, Field(gt=0)], ...], AfterValidator(distinct)] = Field(
        (1,), min_length=1, description="memory vectors per passage; each divides tokens.passages.window"
    )
    steps: Whole = Field(
        120,
        gt=0,
        description="most optimiser steps for one passage; in a trial (one vector, 60 passages) 60, 80, 100, 120 and "
        "160 reproduced 8.6, 10.5, 11.6, 12.2 and 13.6 tokens",
    )
    learning_rate: Number = Field(
        3.0, gt=0, description="of Adam, in units of the root mean square of the decoder's embeddings"
    )
    batch: Whole = Field(64, gt=0, description="passages optimised side by side; bounds the memory needed")


class CrammingSpec(CrammingConfig):
    """The cramming bound of one decoder."""

    decoder: str
