"""What the observations depend on."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.runtime.spec import Number, Spec, Whole


class CompressorDescription(Spec):
    """One trained compressor of the study."""

    encoder: str = Field(description="Name of the encoder in the config, such as D1; in all seeds the same.")
    decoder: str = Field(description="Name of the decoder in the config.")
    encoder_model: str = Field(description="The pretrained encoder itself, as named in the passage scores.")
    decoder_model: str = Field(description="The pretrained decoder itself, as named in the passage scores.")
    readout: str = Field(description="How the encoder's states become memory.")
    ratio: Whole = Field(ge=1, description="Tokens of a passage per memory vector.")
    seed: Whole = Field(ge=0, description="Seed of the language models and of the compressor.")
    decoder_training: Literal["frozen", "lora", "full"] = Field(description="How the decoder was trained.")
    encoder_replaced: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of natural text replaced in the encoder's data; empty: not a mixture.",
    )
    decoder_replaced: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of natural text replaced in the decoder's data; empty: not a mixture.",
    )

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.encoder}-{self.decoder}-{self.readout}-x{self.ratio}-{self.decoder_training}-seed{self.seed}"


class MemoryTest(Spec):
    """When a compressor counts as using its memory: real memory must beat that of another passage."""

    confidence: Number = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="Level of the one-sided lower bound of the mean gain in nll, by document.",
    )
    min_gain: Number = Field(default=0.0, ge=0, description="The lower bound must exceed this many nats per token.")


class ObservationsSpec(Spec):
    """The compressors of a study, in the order of their reconstruction tables."""

    compressors: tuple[CompressorDescription, ...] = Field(min_length=1)
    memory_test: MemoryTest = MemoryTest()


Kind = Literal["none", "bound", "encoder", "decoder", "both", "gap"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NULL_KINDS = ("none", "bound")


class Calibration(Spec):
    """How often the tests of the claims are tried on simulated studies with known truth, and how large these are.

    A simulated study has 3 domains, 9 pairs, 2 ratios and 3 seeds.
    """

    null_studies: Whole = Field(
        default=2000, ge=2, description="Studies of each kind in which a null hypothesis is true: none, bound."
    )
    planted_studies: Whole = Field(
        default=1000, ge=2, description="Studies of each kind that plant an effect: encoder, decoder, both, gap."
    )
    chunk: Whole = Field(default=250, ge=1, description="Studies per job.")
    documents: Whole = Field(default=30, ge=5, description="Documents per domain of a simulated study.")
    passages: Whole = Field(default=2, ge=1, description="Passages per document.")
    draws: Whole = Field(
        default=200, ge=50, description="Bootstrap draws of documents; they give a standard error, which needs few."
    )
    seed: Whole = Field(default=0, ge=0, description="Seed of the simulated studies.")


class CalibrationSpec(Calibration):
    """The calibration, and the family of hypotheses that it tries."""

    claims: ClaimsSpec = ClaimsSpec()


class CalibrationChunk(CalibrationSpec):
    """Some of the studies of one kind."""

    kind: Kind = Field(description="What the studies hide.")
    first: Whole = Field(ge=0, description="Number of the first study.")
    count: Whole = Field(ge=1, description="Number of studies.")
