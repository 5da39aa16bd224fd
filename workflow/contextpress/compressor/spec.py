"""What a compressor depends on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contextpress.runtime.schedule import Schedule
from contextpress.runtime.spec import Spec, Whole

ReadOutName = Literal["memory_tokens", "mean_pool"]
ConnectorName = Literal["linear", "mlp"]
EncoderTraining = Literal["full", "lora"]
DecoderTraining = Literal["frozen", "lora", "full"]


class LowRank(Spec):
    """LoRA (Hu et al., arXiv 2106.09685), used where a training is set to lora."""

    rank: Whole = Field(16, gt=0, description="rank of the update")
    alpha: Whole = Field(32, gt=0, description="scale of the update, divided by the rank")


class Architecture(Spec):
    """How memory is read out of the encoder and handed to the decoder, and which parts learn."""

    readout: ReadOutName
    ratio: Whole = Field(gt=0)
    connector: ConnectorName = Field("mlp", description="maps encoder states to the decoder's width: linear, mlp")
    encoder_training: EncoderTraining = Field("full", description="full, lora")
    decoder_training: DecoderTraining = Field("frozen", description="frozen (as in claim C2), lora, full")
    lora: LowRank = Field(LowRank(), description="for the parts that are trained by LoRA")


class CompressorSpec(Spec):
    """One compressor: a pair of models, an architecture, and its training."""

    name: str
    encoder: str
    decoder: str
    architecture: Architecture
    schedule: Schedule
    window: Whole
    domains: dict[str, float]
    seed: Whole
