"""Training a compressor on a balanced mix of passages."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from contextpress.compressor.objectives import Autoencoding
from contextpress.compressor.spec import Curriculum
from contextpress.runtime.checkpoint import Checkpoint
from contextpress.runtime.errors import UserError
from contextpress.runtime.fit import fit
from contextpress.runtime.history import History
from contextpress.runtime.objective import Inputs
from contextpress.runtime.sampling import endless, generator_at
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.arrays import IdArray, share_out


def train(
    objective: Autoencoding,
    passages: dict[str, IdArray],
    shares: dict[str, float],
    schedule: Schedule,
    curriculum: Curriculum,
    seed: int,
    name: str,
    checkpoint: Checkpoint | None = None,
    retokenized: Callable[[Tensor, int], tuple[Tensor, Tensor]] | None = None,
) -> History:
    """Train on passages of every domain, each step holding the same share of each.

    Args:
        objective: of a compressor in training mode, on its device.
        passages: token ids per domain, [n, window], or several windows in a row where the objective reads several.
        shares: weight of each domain in a batch.
        schedule: steps, batch and learning rate.
        curriculum: how much of the passages is read, and how many tokens go into a vector, when.
        seed: of the order of the passages.
        name: shown with the progress.
        checkpoint: to go on from, and to write.
        retokenized: what encoder and decoder have of rows [batch, n] of the study's tokens, with so many of them per
            vector, where these are not the rows themselves.

    Raises:
        UserError: if a domain has no passage.
    """
    for domain, rows in passages.items():
        if not len(rows):
            raise UserError(
                f"compressor {name}: domain {domain} has no training document of {rows.shape[1]} tokens; lower "
                "tokens.passages.window, or give longer text"
            )
    compressor, spans = objective.compressor, objective.spans
    parts = [
        endless(torch.from_numpy(passages[domain].astype("int32")), count, seed, domain)
        for domain, count in share_out(schedule.batch, shares).items()
    ]
    progress = [step / schedule.steps for step in range(schedule.steps)]
    lengths, groups = (
        [rule(done, compressor.window, compressor.ratio) for done in progress]
        for rule in (curriculum.length, curriculum.group)
    )

    def inputs_of(step: int) -> Inputs:
        rows = torch.cat([part(step) for part in parts]).long()
        length = lengths[step]
        start = int(torch.randint(rows.shape[1] - spans * length + 1, (1,), generator=generator_at(seed, step)))
        cut = rows[:, start : start + spans * length]
        return (cut, groups[step]) if retokenized is None else (*retokenized(cut, groups[step]), groups[step])

    # Through the encoder go <bos>, passage and memory; through the decoder <bos>, memory, the mark and a text.
    sizes = zip(lengths, groups, strict=True)
    tokens = (1 + spans) * sum(length + length // group + 1 for length, group in sizes) * schedule.batch
    return fit(name, objective, inputs_of, schedule, tokens, checkpoint)
