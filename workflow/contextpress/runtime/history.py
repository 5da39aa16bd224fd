"""What a training leaves behind beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from contextpress.runtime.record import write_record
from contextpress.runtime.spec import Spec
from contextpress.runtime.tables import required, write_table

HISTORY = pa.schema([required("step", pa.int32()), required("loss", pa.float64())])  # nats per labelled token


@dataclass
class History:
    """Loss at every step, nats per labelled token, and the cost of all steps."""

    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0  # that went through the model

    def keep(self, spec: Spec, device: str, table: Path, record: Path, **known: Any) -> None:  # noqa: ANN401
        """Write the losses to ``table``, the spec, the speed and what else is known to ``record``."""
        write_table(table, pd.DataFrame({"step": range(len(self.loss)), "loss": self.loss}), HISTORY)
        speed = round(self.tokens / self.seconds) if self.seconds else None
        write_record(record, spec, device=device, seconds=round(self.seconds, 1), tokens_per_second=speed, **known)
