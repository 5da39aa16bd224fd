"""The declared family of hypotheses: what is tested, on what, against which bounds, before any result is seen."""

from __future__ import annotations

from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from contextpress.runtime.spec import Number, Spec, Whole
from contextpress.tokens.spec import Variant

# Columns of the observations, and three that are made from them: what real memory adds over shuffled memory.
Measure = Literal[
    "nll",
    "accuracy",
    "bleu",
    "rouge_l",
    "token_f1",
    "prefix_match",
    "exact_match",
    "chrf",
    "edit_similarity",
    "information_retained",
    "nll_gain",
    "accuracy_gain",
    "token_f1_gain",
]
EncoderEntropyColumn = Literal["encoder_nll", "encoder_bits_per_byte", "encoder_predictive_entropy"]
DecoderEntropyColumn = Literal["decoder_nll", "decoder_bits_per_byte", "decoder_predictive_entropy"]
ModelFreeEntropy = Literal["unigram_entropy", "zlib_bits_per_byte"]
Control = Literal["encoder_nll", "tokens", "bytes", "unigram_entropy", "zlib_bits_per_byte"]
# Made of the decoder's own nll, so that they correlate with it by construction, whatever the compressor does.
COUPLED = ("nll", "nll_gain", "information_retained")
Training = Literal["frozen", "lora", "full", "any"]


class EncoderEntropy(Spec):
    """C1: input entropy measured by the encoder correlates negatively with reconstruction quality."""

    statement: str = Field(
        default="Input entropy measured by the encoder correlates negatively with reconstruction quality.",
        min_length=1,
        description="The claim in the paper's sense, as findings and summary quote it; it decides nothing.",
    )
    measure: Measure = Field(
        default="token_f1",
        description="Quality of a passage. The paper reports F1 and BLEU; bag-of-token F1 is our reading.",
    )
    predictor: EncoderEntropyColumn = Field(
        default="encoder_nll",
        description="Entropy of a passage under the encoder, nats per token (bits per byte: bits).",
    )
    smallest_effect: Number = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Smallest |Spearman rho| of interest; Cohen (1988) calls 0.1 small. No value in the paper.",
    )
    decoder_training: Training = Field(
        default="any", description="Compressors that count, by how the decoder was trained."
    )


class DecoderEntropy(Spec):
    """C2: entropy measured by the decoder shows no relationship with quality while the decoder is frozen."""

    statement: str = Field(
        default=(
            "Entropy measured by the decoder shows no relationship with reconstruction quality while the decoder is "
            "frozen."
        ),
        min_length=1,
        description="The claim as findings and summary quote it.",
    )
    measure: Measure = Field(default="token_f1", description="Quality of a passage, as for C1.")
    predictor: DecoderEntropyColumn = Field(
        default="decoder_nll", description="Entropy of a passage under the decoder."
    )
    controls: tuple[Control, ...] = Field(
        default=("encoder_nll", "tokens", "bytes"),
        description="Held constant by the partial correlation, beside the domain, which always is.",
    )
    smallest_effect: Number = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Equivalence bounds: |correlation| below this counts as no relationship (Cohen 1988: small).",
    )
    decoder_training: Training = Field(default="frozen", description="The claim is about frozen decoders.")

    @model_validator(mode="after")
    def _quality_must_not_contain_the_predictor(self) -> Self:
        if self.measure in COUPLED:
            raise ValueError(f"{self.measure} is made of decoder entropy and cannot test C2")
        return self


class DataGap(Spec):
    """C3: the gap between the data of encoder and decoder lowers quality monotonically."""

    statement: str = Field(
        default="The gap between what encoder and decoder were pretrained on lowers quality monotonically.",
        min_length=1,
        description="The claim as findings and summary quote it.",
    )
    measure: Measure = Field(default="token_f1", description="Quality of a passage, as for C1.")
    smallest_effect: Number = Field(
        default=0.004,
        gt=0,
        description=(
            "Smallest slope of interest, quality per sixth of replaced data. The paper's F1 falls 81.57 to 69.44 over "
            "five sixths, 0.024 per sixth on a scale of 0 to 1; a sixth of that is the default."
        ),
    )
    decoder_training: Training = Field(
        default="any", description="Compressors that count, by how the decoder was trained."
    )
    pooling_alpha: Number = Field(
        default=0.05,
        gt=0,
        lt=1,
        description=(
            "If the slopes of the seeds differ with a p below this, the seed becomes the unit of the interval instead "
            "of the cell. A preliminary test at 0.25, as Bancroft (1964) advises, makes the test of the claim reject "
            "too seldom."
        ),
    )


Hypothesis = TypeVar("Hypothesis", EncoderEntropy, DecoderEntropy, DataGap)


class ClaimsSpec(Spec):
    """The family of hypotheses of a study and how its members are tested."""

    c1: EncoderEntropy = EncoderEntropy()
    c2: DecoderEntropy = DecoderEntropy()
    c3: DataGap = DataGap()
    also_measures: tuple[Measure, ...] = Field(
        default=("bleu", "accuracy", "token_f1_gain"),
        description="Measures the same estimates are given for beside the primary one; they decide no verdict.",
    )
    alpha: Number = Field(default=0.05, gt=0, lt=0.5, description="Error rate of the family of three.")
    correction: Literal["holm", "bh"] = Field(
        default="holm", description="Correction for three tests: Holm (1979), or Benjamini-Hochberg (1995)."
    )
    draws: Whole = Field(default=2000, ge=50, le=100_000, description="Bootstrap draws of documents.")
    seed: Whole = Field(default=0, ge=0, description="Seed of the bootstrap.")
    cluster: Literal["document_id", "source"] = Field(
        default="document_id",
        description="What is drawn: documents, or the files they were cut from (safer where files are many).",
    )
    min_passages: Whole = Field(default=100, ge=3, description="Fewer passages leave a claim inconclusive.")
    min_documents: Whole = Field(default=20, ge=2, description="Fewer clusters leave a claim inconclusive.")
    min_seeds: Whole = Field(default=2, ge=1, description="Fewer training seeds leave a claim inconclusive.")
    variants: tuple[Variant, ...] = Field(
        default=("normal",), min_length=1, description="Rungs of the control ladder that count."
    )
    natural_only: bool = Field(
        default=True,
        description="Leave out generated text (entropy rate known); it is reported beside the claim instead.",
    )


# Of the family, what says which passages are compared and how they are drawn.
DRAW = ("natural_only", "cluster", "draws", "seed")
COUNTS = ("min_passages", "min_documents", "min_seeds")


def only(claims: ClaimsSpec, *names: str) -> ClaimsSpec:
    """The family with its own values of these keys and the defaults of all others: for what depends on no others."""
    return ClaimsSpec(**{name: getattr(claims, name) for name in names})


def without_verdicts(claims: ClaimsSpec) -> ClaimsSpec:
    """The family without what verdicts alone depend on, and draws: for tables that only estimate."""
    kept = only(claims, "c1", "c2", "c3", "natural_only", "cluster", "seed", "variants")
    return kept.model_copy(
        update={name: _without_bounds(getattr(kept, name)) for name in ("c1", "c2", "c3")},
    )


def _without_bounds(hypothesis: Hypothesis) -> Hypothesis:
    defaults = type(hypothesis)()
    return hypothesis.model_copy(update={name: getattr(defaults, name) for name in ("statement", "smallest_effect")})


def same_rules(claims: ClaimsSpec, draws: int) -> ClaimsSpec:
    """The family as the simulated studies can be tested: the declared bounds and correction, on their own measures."""
    return ClaimsSpec(
        c1=EncoderEntropy(smallest_effect=claims.c1.smallest_effect),
        c2=DecoderEntropy(smallest_effect=claims.c2.smallest_effect),
        c3=DataGap(smallest_effect=claims.c3.smallest_effect, pooling_alpha=claims.c3.pooling_alpha),
        also_measures=(),
        alpha=claims.alpha,
        correction=claims.correction,
        draws=draws,
        min_passages=3,
        min_documents=2,
    )
