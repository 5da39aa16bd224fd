"""What the observations depend on."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from contextpress.analysis.hypotheses import (
    ClaimsSpec,
    DecoderEntropyColumn,
    EncoderEntropyColumn,
    Measure,
    ModelFreeEntropy,
)
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
    """When a compressor counts as using its memory: real memory must clearly beat that of another passage.

    The other passage is of the same domain and, where there is one, of another document.
    """

    confidence: Number = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="Level of the one-sided lower bound of the mean gain in nll, by document.",
    )
    min_gain: Number = Field(
        default=0.25,
        description="The lower bound must exceed this many nats per token; ours. A bound above 0 says only that memory "
        "carries something, be it the passage's topic; 0.25 makes each true token 1.28 times as likely. It is "
        "no proof of good reading: early compressors that predicted only 22 to 36 % of the tokens gained 0.76 to 1.15. "
        "A negative number lets in compressors that learned nothing, as the smoke study does.",
    )


class ObservationsSpec(Spec):
    """The compressors of a study, in the order of their reconstruction tables."""

    compressors: tuple[CompressorDescription, ...] = Field(min_length=1)
    memory_test: MemoryTest = MemoryTest()


class Specification(Spec):
    """The specification table: every combination of these choices, read-out and ratio is an estimate of its own."""

    measures: tuple[Measure, ...] = Field(
        default=(
            "token_f1",
            "bleu",
            "rouge_l",
            "chrf",
            "accuracy",
            "prefix_match",
            "exact_match",
            "edit_similarity",
            "token_f1_gain",
            "information_retained",
        ),
        min_length=1,
        description="Measures of quality. Those made of the decoder's own nll are marked in the table, and not tried "
        "for C2.",
    )
    encoder_entropies: tuple[EncoderEntropyColumn | ModelFreeEntropy, ...] = Field(
        default=(
            "encoder_nll",
            "encoder_bits_per_byte",
            "encoder_predictive_entropy",
            "unigram_entropy",
            "zlib_bits_per_byte",
        ),
        min_length=1,
        description="Entropies of a passage for C1, under the encoder or without a model.",
    )
    decoder_entropies: tuple[DecoderEntropyColumn, ...] = Field(
        default=("decoder_nll", "decoder_bits_per_byte", "decoder_predictive_entropy"),
        min_length=1,
        description="Entropies of a passage under the decoder for C2.",
    )
    draws: Whole = Field(
        default=400, ge=50, le=100_000, description="Bootstrap draws of documents; a standard error needs few."
    )


class SpecificationSpec(Specification):
    """The choices, and the hypotheses that everything else is taken from."""

    claims: ClaimsSpec = ClaimsSpec()


# What the tests of the claims are held to.
LEVEL = 0.05
ALLOWED = 0.01  # a false-positive rate may differ from the level by this much
COVERED = 0.93  # least share of 95 % intervals that hold the planted effect

# What a simulated study hides: nothing; a partial correlation of decoder entropy at the bound of C2; effects.
Kind = Literal["none", "bound", "encoder", "decoder", "both", "gap"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_CHUNKS = 1000  # jobs of a kind; more would be planned for longer than they are worth
NULL_KINDS: tuple[Kind, ...] = ("none", "bound")


class SimulatedStudies(Spec):
    """How large a simulated study is, and how it is analysed. It has 3 domains, 9 pairs, 2 ratios and 3 seeds."""

    documents: Whole = Field(
        default=60, ge=5, description="Documents per domain of a simulated study. The default study has about 110."
    )
    passages: Whole = Field(default=2, ge=1, description="Passages per document.")
    draws: Whole = Field(
        default=200, ge=50, le=100_000, description="Bootstrap draws of documents; a standard error needs few."
    )
    seed: Whole = Field(default=0, ge=0, description="Seed of the simulated studies.")


class Calibration(SimulatedStudies):
    """How often the tests of the claims are tried on simulated studies with known truth (snakemake calibration)."""

    null_studies: Whole = Field(
        default=4000,
        ge=2,
        description=(
            "Studies of each kind in which a null hypothesis is true. A true rate of 5 % then shows as less than 4 or "
            "more than 6 % in one of 300 tries; with 2,000 studies in one of 28."
        ),
    )
    planted_studies: Whole = Field(default=1000, ge=2, description="Studies of each kind that plant an effect.")
    chunk: Whole = Field(default=250, ge=1, description="Studies per job.")

    @model_validator(mode="after")
    def _not_too_many_jobs(self) -> Self:
        studies = max(self.null_studies, self.planted_studies)
        if studies > MOST_CHUNKS * self.chunk:
            raise ValueError(
                f"chunk is {self.chunk}: {studies} studies of a kind make more than {MOST_CHUNKS} jobs; at least "
                f"{-(-studies // MOST_CHUNKS)} is wanted"
            )
        return self

    def chunks(self) -> dict[str, tuple[Kind, int, int]]:
        """Kind, first study and number of studies of every job, by name."""
        found: dict[str, tuple[Kind, int, int]] = {}
        for kind in KINDS:
            total = self.null_studies if kind in NULL_KINDS else self.planted_studies
            for first in range(0, total, self.chunk):
                found[f"{kind}-{first}"] = (kind, first, min(self.chunk, total - first))
        return found


class CalibrationChunk(SimulatedStudies):
    """Some of the studies of one kind."""

    kind: Kind = Field(description="What the studies hide.")
    first: Whole = Field(ge=0, description="Number of the first study.")
    count: Whole = Field(ge=1, description="Number of studies.")
    claims: ClaimsSpec = Field(ClaimsSpec(), description="The family of hypotheses that is tried.")


class RoleModel(Spec):
    """A language model in its role in the study, and its folder."""

    side: Literal["encoder", "decoder"]
    name: str
    seed: Whole
    model: str


class PredictorSpec(Spec):
    """What the predictor of quality depends on; of the claims the sample."""

    measures: tuple[Measure, ...] = Field(min_length=1)  # the first decides whether it is calibrated
    roles: tuple[RoleModel, ...] = Field(min_length=1)
    claims: ClaimsSpec

    def models(self) -> dict[tuple[str, str, int], str]:
        """Folders of the language models by role, name and seed."""
        return {(role.side, role.name, role.seed): role.model for role in self.roles}


class AskedArm(Spec):
    """One compressor of an arm that is asked too."""

    arm: str
    encoder: str
    decoder: str
    readout: str
    ratio: Whole
    decoder_training: Literal["frozen", "lora", "full"]
    seed: Whole


class ProbeSpec(Spec):
    """What the probe's table and finding depend on; compressors and arms are in the order of their tables."""

    compressors: tuple[CompressorDescription, ...] = Field(min_length=1)
    arms: tuple[AskedArm, ...] = ()  # in the table only: the finding is about the study's own compressors
    claims: ClaimsSpec


class CrammedDecoder(Spec):
    """A decoder in its role in the study, and the pretrained model that it is."""

    decoder: str
    seed: Whole
    model: str


class CrammingAnalysis(Spec):
    """What the table and the finding of the cramming bound depend on; of the claims the sample and the bootstrap."""

    decoders: tuple[CrammedDecoder, ...] = Field(min_length=1)
    claims: ClaimsSpec


class ArmCell(Spec):
    """One compressor of an arm, or of the study, which has no help."""

    arm: str = Field(description="Name of the arm; empty: no help.")
    encoder: str = Field(description="Name of the encoder in the config; the decoder's own: a matched pair.")
    decoder: str
    seed: Whole
    decoder_training: Literal["frozen", "lora", "full"] = Field(
        description="Whether the decoder is still the plain LM."
    )
    steps: Whole = Field(description="Of the compressor's training.")
    flops: Whole = Field(description="Of that training and of the arm's own thing.")
    own_flops: Whole = Field(description="Of the arm's own thing, outside that training.")
    pretraining_flops: Whole = Field(description="Of both language models before; no part of the equal compute.")


class ArmsSpec(Spec):
    """What the table of arms depends on; of the claims the sample, the bootstrap and the correction."""

    cells: tuple[ArmCell, ...] = Field(min_length=1)  # in the order of the reconstructions
    longer: str = Field(description="The arm that the others are held against.")
    measure: Measure
    smallest_share: Number
    memory_test: MemoryTest
    claims: ClaimsSpec


class DoseOfCell(Spec):
    """What a cell's encoder was given of the decoder's corpus."""

    size: str = Field(description="Shape of the encoder.")
    weights: Whole = Field(description="In the matrices of its blocks.")
    dose: Whole = Field(description="Number of the dose; 0: none.")
    share: Number = Field(description="Of the text that was of the decoder's corpus.")
    steps: Whole = Field(description="Of pretraining on both.")
    tokens: Whole = Field(description="Of the decoder's corpus that were read.")


class InfusionAnalysis(Spec):
    """What the curves over doses depend on."""

    arms: ArmsSpec
    doses: tuple[DoseOfCell, ...] = Field(min_length=1)  # in the order of the cells
    mixtures: dict[str, dict[str, float]] = Field(description="Shares of domains in a model's data, by its name.")
    tolerance: Number = Field(description="Nats per token of its own text that an encoder may lose.")
