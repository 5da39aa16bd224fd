"""What tokens and passages depend on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from contextpress.runtime.spec import Number, Spec, Whole

# A passage as it is, and its disturbed forms: the control ladder.
Variant = Literal["normal", "words_shuffled", "reversed", "ids_plus_1", "random_ids"]


class TokenizerSpec(Spec):
    """The tokenizer that cuts the passages, and that models read unless they have their own."""

    vocabulary: Whole = Field(
        2048, ge=300, le=65536, description="entries of the byte-level BPE trained on the study's own training text"
    )
    load: str | None = Field(
        None,
        min_length=1,
        description="path or hub id of a tokenizer to use instead of training one; loaded models that read it need it",
    )
    revision: str | None = Field(None, min_length=1, description="its revision on the hub")

    @model_validator(mode="after")
    def _revision_is_of_something(self) -> Self:
        if self.revision is not None and self.load is None:
            raise ValueError("revision is that of a tokenizer to load, but load is empty")
        return self


class PassagesSpec(Spec):
    """The fixed windows that are compressed and reconstructed."""

    window: Whole = Field(
        32, gt=1, le=8192, description="tokens per passage (ours: the paper does not state its length)"
    )
    test: Whole = Field(120, gt=1, description="held-out passages per domain to reconstruct and analyse")
    validation: Whole = Field(40, gt=1, description="passages per domain in the probe set that measures gaps")
    ladder: Whole = Field(10, ge=0, description="test passages per domain that are also disturbed, in four ways")


class ProbeSize(Spec):
    """How much is asked."""

    records: Whole = Field(200, gt=1, description="held-out records that are compressed and asked about")
    questions: Whole = Field(6, gt=0, description="questions about each, or as many as its passage can answer")


class ProbeConfig(ProbeSize):
    """Questions to memories of records (tables/probe.csv): what is still known where words are not reproduced?"""

    domain: str | None = Field(
        None,
        description="domain of kind products or questions, neither in corpus.natural nor in corpus.formal; empty: "
        "nothing is asked, and the keys beside this one change nothing",
    )
    share: Number = Field(
        0.25,
        gt=0,
        lt=1,
        description="share of that domain in the pretraining text of every model, D1 to D6; the rest is as without. "
        "In trials with the default models (one seed) the full text of a product record let 93 % of the questions "
        "about attributes and 60 % of those about relations be answered with 0.125, 98 and 99 % with 0.25",
    )


class QuestionsSpec(ProbeSize):
    """The probe's passages and questions."""

    domain: str
    window: Whole


class OwnTokensSpec(Spec):
    """The passages in the tokens of one model that has a tokenizer of its own."""

    model: str
    window: Whole = Field(gt=0, description="most of its tokens that it reads or writes of a passage")


class MixtureSpec(Spec):
    """A pretraining corpus of a fixed size: windows of several domains in fixed proportions; of none: random tokens."""

    name: str
    weights: dict[str, float]
    tokens: Whole
    row: Whole
