"""What a table of latencies depends on, beside the models."""

from __future__ import annotations

from pydantic import Field

from contextpress.compressor.spec import ConnectorName, ReadOutName
from contextpress.runtime.spec import Spec, Whole, is_empty


class LatencySpec(Spec):
    """What is timed."""

    sizes: tuple[str, ...] = Field(min_length=1, description="names of the sizes, in the order of the models given")
    readout: ReadOutName
    connector: ConnectorName
    ratios: tuple[Whole, ...] = Field(min_length=1, description="tokens of a passage per memory vector")
    window: Whole = Field(gt=0, description="tokens per passage")
    windows: dict[str, Whole] = Field(
        {}, exclude_if=is_empty, description="own tokens per passage, of the sizes with a tokenizer of their own"
    )
