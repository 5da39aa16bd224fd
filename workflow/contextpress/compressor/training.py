"""Training a compressor on a balanced mix of passages."""

from __future__ import annotations

import torch
from torch import Tensor

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import Curriculum
from contextpress.runtime.fit import fit
from contextpress.runtime.history import History
from contextpress.runtime.sampling import endless
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.arrays import IdArray, share_out


def train(
    compressor: Compressor,
    passages: dict[str, IdArray],
    shares: dict[str, float],
    schedule: Schedule,
    curriculum: Curriculum,
    seed: int,
    name: str,
) -> History:
    """Train on passages of every domain, each step holding the same share of each.

    Args:
        compressor: in training mode, on its device.
        passages: token ids per domain, [n, window].
        shares: weight of each domain in a batch.
        schedule: steps, batch and learning rate.
        curriculum: how much of the passages is read, when.
        seed: of the order of the passages.
        name: shown with the progress.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = [
        endless(torch.from_numpy(passages[domain].astype("int64")), count, generator)
        for domain, count in share_out(schedule.batch, shares).items()
    ]
    device = compressor.restate.device

    lengths = [
        curriculum.length(step / schedule.steps, compressor.window, compressor.ratio) for step in range(schedule.steps)
    ]

    def loss_of(step: int) -> Tensor:
        rows = torch.cat([part() for part in parts])
        length = lengths[step]
        start = int(torch.randint(rows.shape[1] - length + 1, (1,), generator=generator))
        return compressor.reconstruction_loss(rows[:, start : start + length].to(device))

    # Through the encoder go <bos>, passage and memory; through the decoder <bos>, memory, <restate> and passage.
    tokens = sum(2 * length + 2 * (length // compressor.ratio) + 2 for length in lengths) * schedule.batch
    return fit(name, compressor, loss_of, schedule, tokens)
