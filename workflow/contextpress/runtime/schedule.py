"""How a model is trained; apart from the loop itself, so that reading a config needs no torch."""

from __future__ import annotations

from pydantic import Field

from contextpress.runtime.spec import Number, Spec, Whole


class Schedule(Spec):
    """How long and how fast one model is trained (Muon and AdamW, linear rise, cosine decay)."""

    steps: Whole = Field(gt=0, description="optimiser steps")
    batch: Whole = Field(gt=0, description="rows per step")
    learning_rate: Number = Field(gt=0, lt=1, description="peak rate of both optimisers")
    rise: Number = Field(0.1, ge=0, lt=1, description="share of the steps over which the rate rises to its peak")
    weight_decay: Number = Field(0.01, ge=0, lt=1, description="of the matrices, as a share of the rate")
