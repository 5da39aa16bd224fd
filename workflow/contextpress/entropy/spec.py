"""What the entropy tables depend on."""

from __future__ import annotations

from pydantic import Field

from contextpress.runtime.spec import Spec, Whole


class EntropyConfig(Spec):
    """Buckets of passages by their surprise."""

    buckets: Whole = Field(5, gt=1, description="quantile buckets of nats per token, per measuring model")


class ScoreSpec(Spec):
    """One model's scores."""

    model: str
    buckets: Whole


class Pair(Spec):
    """One encoder-decoder pair of one seed; encoder_model and decoder_model are names of artefacts."""

    encoder: str
    decoder: str
    seed: Whole
    encoder_model: str
    decoder_model: str
    design_gap: float | None


class GapSpec(Spec):
    """All pairs of a study."""

    pairs: tuple[Pair, ...]
