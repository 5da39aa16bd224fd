"""What a compressor depends on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from contextpress.runtime.schedule import Schedule
from contextpress.runtime.spec import Number, Spec, Whole, is_empty

ReadOutName = Literal["memory_tokens", "interleaved", "mean_pool", "kv_prefix"]
ConnectorName = Literal["linear", "mlp", "deep", "alignment"]
ConnectorStart = Literal["random", "least_squares"]
EncoderTraining = Literal["full", "lora"]
DecoderTraining = Literal["frozen", "lora", "full"]
ObjectiveName = Literal["autoencoding", "autoencoding_continuation"]


def is_random(value: object) -> bool:
    """When to leave the connector's start out: so specs are what they were before there was another."""
    return value == "random"


class LowRank(Spec):
    """LoRA (Hu et al., arXiv 2106.09685), used where a training is set to lora."""

    rank: Whole = Field(16, gt=0, description="rank of the update")
    alpha: Whole = Field(32, gt=0, description="scale of the update, divided by the rank")


class Architecture(Spec):
    """How memory is read out of the encoder and handed to the decoder, and which parts learn."""

    readout: ReadOutName
    ratio: Whole = Field(gt=0)
    connector: ConnectorName = Field("mlp", description="maps encoder states to the decoder's inputs")
    connector_start: ConnectorStart = Field(
        "random",
        exclude_if=is_random,
        description="random, least_squares (the map from the encoder's token embeddings to the decoder's)",
    )
    encoder_training: EncoderTraining = Field("full", description="full, lora")
    decoder_training: DecoderTraining = Field("frozen", description="frozen (as in claim C2), lora, full")
    lora: LowRank = Field(LowRank(), description="for the parts that are trained by LoRA")


class Curriculum(Spec):
    """Shorter passages first, and fewer tokens in a vector.

    How memory is read is found out sooner, and cheaper, on few vectors than on many. And vectors of one token put the
    encoder on the way to what the decoder reads: in one trial (mean pool, ratio 4, 160 steps, a decoder of D1) that
    took the token accuracy on held-out prose from 0.26, where the memory was not read yet, to 0.67.
    """

    quarter: Number = Field(0.3, ge=0, lt=1, description="share of the steps on a quarter of the window")
    half: Number = Field(0.2, ge=0, lt=1, description="share of the steps on half of it; the rest is on all of it")
    small_groups: Number = Field(
        0.3, ge=0, lt=1, description="share of the steps on fewer tokens per vector: the divisors of the ratio in turn"
    )

    @model_validator(mode="after")
    def _some_steps_are_left(self) -> Self:
        if self.quarter + self.half >= 1:
            raise ValueError(f"quarter and half are {self.quarter} and {self.half}: their sum must be below 1")
        return self

    def length(self, progress: float, window: int, ratio: int) -> int:
        """Tokens per passage at ``progress`` (0 to 1) through the training: a multiple of the ratio."""
        if progress < self.quarter:
            window //= 4
        elif progress < self.quarter + self.half:
            window //= 2
        return max(ratio, window - window % ratio)

    def group(self, progress: float, window: int, ratio: int) -> int:
        """Tokens per vector at ``progress``: a divisor of the ratio that makes no more vectors than the window has."""
        if progress >= self.small_groups:
            return ratio
        sizes = [n for n in range(1, ratio + 1) if ratio % n == 0]
        wanted = sizes[int(progress / self.small_groups * max(1, len(sizes) - 1))]
        length = self.length(progress, window, ratio)
        return min(n for n in sizes if n >= wanted and length // n <= window // ratio)


def per_vector(group: int, window: int, own: int) -> int:
    """Tokens per vector of an encoder with a tokenizer of its own, so that a passage has as many vectors as in others.

    Args:
        group: tokens of the study per vector.
        window: tokens of the study per passage.
        own: most tokens of the encoder's own in a passage; up to a vector's worth more are filled in.
    """
    return -(-group * own // window)


class CompressorSpec(Spec):
    """One compressor: a pair of models, an architecture, and its training.

    Where a model has a tokenizer of its own, the spec holds its window, the most of its tokens in a passage.
    """

    name: str
    encoder: str
    decoder: str
    architecture: Architecture
    objective: ObjectiveName
    continuation_weight: float
    schedule: Schedule
    curriculum: Curriculum
    window: Whole
    domains: dict[str, float]
    seed: Whole
    encoder_window: Whole | None = Field(None, exclude_if=is_empty)
    decoder_window: Whole | None = Field(None, exclude_if=is_empty)


class Debias(Spec):
    """Debias, then learn: training a compressor on its decoder's own mistakes (PretrainRL, arXiv 2602.01875)."""

    passages: Whole = Field(
        480, gt=0, description="training passages that the decoder writes back, of all domains together; its mistakes"
    )
    beta: Number = Field(
        0.1, gt=0, description="of direct preference optimisation: how much a nat per passage counts (as is usual)"
    )
    weight: Number = Field(
        10.0,
        ge=0,
        description="lambda: of the autoencoding loss in the sum, which is in nats per token. In one trial (D1 to D6, "
        "ratio 4, one seed) the token accuracy on validation passages was 0.638 before this stage, and 0.642 and 0.650 "
        "after it with 1 and 10",
    )
    schedule: Schedule = Field(
        Schedule(steps=15, batch=32, learning_rate=1e-3), description="optimisation of this stage (ours)"
    )


class DebiasSpec(Debias):
    """This stage of one compressor."""

    name: str
    seed: Whole
