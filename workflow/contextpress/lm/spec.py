"""What a language model depends on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from contextpress.runtime.schedule import Schedule
from contextpress.runtime.spec import NAME_LENGTH, Number, Spec, Whole

MergeRule = Literal["average", "nan_tensors", "nan_model"]


class Shape(Spec):
    """Size of a Llama-shaped model."""

    name: str = Field(
        "base", pattern=r"^[a-z][a-z0-9]*$", max_length=NAME_LENGTH, description="how models refer to this size"
    )
    layers: Whole = Field(
        2,
        gt=0,
        description="transformer blocks; with 2, 3 and 4 of them one matched pair gave held-out prose a token accuracy "
        "of 0.94, 0.95 and 0.95 at ratio 2, and 0.68, 0.63 and 0.63 at ratio 4, in equal steps (one seed)",
    )
    width: Whole = Field(192, gt=0, description="hidden size; a multiple of heads")
    heads: Whole = Field(6, gt=0, description="attention heads")
    intermediate: Whole = Field(512, gt=0, description="inner size of the gated feed-forward part")
    context: Whole = Field(256, gt=0, description="longest input in tokens, memory vectors included")
    seed: Whole = Field(
        0,
        ge=0,
        description="of its warm-up: of the first weights and of the random ids. Models of two shapes that differ in "
        "nothing else share nothing",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 x heads ({2 * self.heads}), for rotary positions")
        return self


class CopyWarmup(Spec):
    """First stage of pretraining, shared by all models of a shape: restate uniform random ids. It holds no language.

    Without a taught skill of copying, a small frozen decoder never learned to read memory within this study's budget.
    """

    schedule: Schedule = Field(
        Schedule(steps=500, batch=48, learning_rate=5e-3),
        description="optimisation of the warm-up; in trials many small steps learned it sooner than few large ones",
    )
    longest: Whole = Field(32, gt=0, description="longest text that is shown and restated, in tokens")


class Pretraining(Spec):
    """Second stage: next-token prediction on the mixture; part of the rows goes on with reading what was shown."""

    schedule: Schedule = Field(
        Schedule(steps=240, batch=44, learning_rate=5e-3),
        description="optimisation of the language model; 240 steps read 760,000 tokens of running text, a little less "
        "than one pass",
    )
    row: Whole = Field(96, gt=7, description="tokens per row, <bos> not counted")
    restate_share: Number = Field(
        0.25, ge=0, le=1, description="share of rows whose text is shown, up to row / 2 tokens of it, and restated"
    )
    random_share: Number = Field(
        0.25,
        ge=0,
        le=1,
        description="share of rows that restate random ids, as in the warm-up. Language alone can guess much of a "
        "restated text; random ids cannot be guessed, and keep the skill of reading from being unlearned",
    )

    @model_validator(mode="after")
    def _text_is_left(self) -> Self:
        if self.restate_share + self.random_share >= 1:
            raise ValueError(
                f"restate_share and random_share are {self.restate_share} and {self.random_share}: "
                "their sum must be below 1, for the rest is running text"
            )
        return self

    @property
    def random_rows(self) -> int:
        """Rows of a step that hold random ids."""
        return round(self.random_share * self.schedule.batch)

    @property
    def text_rows(self) -> int:
        """Rows of a step that hold text."""
        return self.schedule.batch - self.random_rows


class WarmupSpec(Spec):
    """The warm-up of all models of one shape."""

    shape: Shape
    warmup: CopyWarmup
    groups: tuple[int, ...]


class PretrainSpec(Spec):
    """One model from scratch."""

    name: str
    pretraining: Pretraining
    groups: tuple[int, ...]
    seed: Whole


class Dose(Spec):
    """How much of another corpus a model is given."""

    share: Number = Field(gt=0, le=1, description="of the text that is read, of the other corpus; the rest is its own")
    steps: Whole = Field(gt=0, description="of pretraining, each of as many rows as before")


class InfusionSpec(PretrainSpec):
    """One model whose pretraining goes on, with part of another's corpus; the schedule is of these steps."""

    share: Number = Field(gt=0, le=1, description="of the text that is of the other corpus")

    @property
    def infused_rows(self) -> int:
        """Rows of the other corpus that are read."""
        return round(self.share * self.rows)

    @property
    def rows(self) -> int:
        """Rows of text that are read."""
        return self.pretraining.schedule.steps * self.pretraining.text_rows


class MergeSpec(Spec):
    """Several models merged into one."""

    name: str
    models: tuple[str, ...]
    rule: MergeRule


class LoadSpec(Spec):
    """One model by name."""

    name: str
    path: str
    revision: str | None
    positions: Whole
