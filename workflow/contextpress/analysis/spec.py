"""What the observations depend on."""

from __future__ import annotations

from typing import Literal

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


class CrammedDecoder(Spec):
    """A decoder in its role in the study, and the pretrained model that it is."""

    decoder: str
    seed: Whole
    model: str


class CrammingAnalysis(Spec):
    """What the table and the finding of the cramming bound depend on; of the claims the sample and the bootstrap."""

    decoders: tuple[CrammedDecoder, ...] = Field(min_length=1)
    claims: ClaimsSpec
