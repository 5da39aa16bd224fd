"""How a model is trained; apart from the loop itself, so that reading a config needs no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from contextpress.runtime.spec import Number, Spec, Whole


class Schedule(Spec):
    """How long and how fast one model is trained (Muon and AdamW, linear rise, cosine decay)."""

    steps: Whole = Field(gt=0, description="optimiser steps")
    batch: Whole = Field(gt=0, description="rows per step")
    learning_rate: Number = Field(gt=0, lt=1, description="peak rate of both optimisers")
    rise: Number = Field(0.1, ge=0, lt=1, description="share of the steps over which the rate rises to its peak")
    weight_decay: Number = Field(0.01, ge=0, lt=1, description="of the matrices, as a share of the rate")
    processes: Whole = Field(
        1,
        gt=0,
        description="processes that train one model together, each on its share of the rows of a step, on one machine; "
        "each takes an accelerator of its own where there are some. More than one change the last digits of results",
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="what of a model several processes divide among them: none (each holds all of it, DDP), full "
        "(weights, gradients and the optimisers' memory, FSDP: for models that one accelerator cannot hold)",
    )

    @model_validator(mode="after")
    def _processes_have_work(self) -> Self:
        if self.processes > self.batch:
            raise ValueError(f"processes is {self.processes}: at most one for each of the {self.batch} rows of a step")
        if self.sharding == "full" and self.processes == 1:
            raise ValueError("sharding is full, which needs processes of 2 or more")
        return self
