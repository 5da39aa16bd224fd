"""Debias, then learn: a trained compressor is taught to prefer the true passage to what its decoder wrote instead.

After PretrainRL (Liu et al., arXiv 2602.01875), which trains a language model on L_DPO + lambda L_CT: away from
falsehoods that it holds probable, towards the truth. Here the truth is the passage, the falsehood is the decoder's own
greedy reconstruction of it, and what is trained is the compressor: the decoder may stay frozen, for both texts are
scored from the memory that the compressor makes of the true one.

Ours: L_CT is the autoencoding loss, nats per token of the true passage; every mistake is one whole reconstruction,
made once, before this stage.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from contextpress.compressor.model import Compressor
from contextpress.runtime.checkpoint import Checkpoint
from contextpress.runtime.device import mixed_precision, rows_at_once
from contextpress.runtime.fit import fit
from contextpress.runtime.history import History
from contextpress.runtime.objective import Inputs, Objective
from contextpress.runtime.sampling import endless
from contextpress.runtime.schedule import Schedule


def preference_loss(margins: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Direct preference optimisation (Rafailov et al., arXiv 2305.18290, eq. 7), mean over pairs, in nats.

    -log sigmoid(beta (log p(w) - log p(l) - log p_ref(w) + log p_ref(l)))

    Args:
        margins: log p(w) - log p(l) of winner and loser under what is trained, [pairs].
        reference: the same under what it was before, [pairs].
        beta: how much a nat counts.
    """
    return -logsigmoid(beta * (margins - reference)).mean()


class Debiasing(Objective):
    """L_DPO + weight x L_CT, of passages and what the decoder wrote in their place."""

    def __init__(self, compressor: Compressor, beta: float, weight: float) -> None:
        """``beta``: see ``preference_loss``; ``weight``: lambda."""
        super().__init__()
        self.compressor, self.beta, self.weight = compressor, beta, weight

    def forward(self, true: Tensor, written: Tensor, reference: Tensor) -> Tensor:
        """The loss: of true and written passages, each [batch, window], and margins of the reference, [batch].

        A passage that was written without a mistake has no margin, and counts in L_CT alone.
        """
        nll_true, nll_written = self.nll(true, written)
        learned = nll_true.mean() / true.shape[1]
        return preference_loss(nll_written - nll_true, reference, self.beta) + self.weight * learned

    def nll(self, true: Tensor, written: Tensor) -> tuple[Tensor, Tensor]:
        """Nll of both texts from the memory of the true one, nats per passage, each [batch]."""
        prefix = self.compressor.prefix(self.compressor.compress(true))
        texts = torch.cat([true, written])
        logits = self.compressor.logits(torch.cat([prefix, prefix]), texts)
        of_tokens = cross_entropy(logits.flatten(0, 1).float(), texts.flatten(), reduction="none")
        one, two = of_tokens.view(texts.shape).sum(1).chunk(2)
        return one, two

    def labelled(self, *inputs: Tensor | int) -> int:
        """Tokens of the true passages: both losses are means over these."""
        true = inputs[0]
        assert isinstance(true, Tensor)
        return true.numel()


def debias(
    objective: Debiasing,
    true: Tensor,
    written: Tensor,
    schedule: Schedule,
    seed: int,
    name: str,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train on passages and what was written in their place; losses are in nats, of the two terms together.

    The reference is the compressor as it comes, scored once, in the precision of training.

    Args:
        objective: of a compressor in evaluation mode, on its device.
        true: token ids of passages, [n, window].
        written: the decoder's own reconstructions of them, [n, window].
        schedule: steps, batch and learning rate.
        seed: of the order of the pairs.
        name: shown with the progress.
        checkpoint: to go on from, and to write.
    """
    compressor = objective.compressor
    reference = _margins(objective, true, written)
    compressor.train()
    if not any(p.requires_grad for p in compressor.decoder.parameters()):
        compressor.decoder.eval()
    pairs = endless(torch.arange(len(true)), schedule.batch, seed, "pairs")

    def inputs_of(step: int) -> Inputs:
        rows = pairs(step)
        return true[rows], written[rows], reference[rows]

    # Through the encoder goes one text, through the decoder two.
    tokens = schedule.steps * schedule.batch * (3 * true.shape[1] + 2 * compressor.slots + 5)
    return fit(name, objective, inputs_of, schedule, tokens, checkpoint)


@torch.no_grad()
def _margins(objective: Debiasing, true: Tensor, written: Tensor) -> Tensor:
    """What the objective's compressor now gives for ``preference_loss``, [n], on the processor."""
    device, parts = objective.compressor.restate.device, []
    rows = rows_at_once(device, 2 * (true.shape[1] + objective.compressor.slots + 2))
    for pair in zip(true.split(rows), written.split(rows), strict=True):
        with mixed_precision(device):
            nll_true, nll_written = objective.nll(*(texts.to(device) for texts in pair))
        parts.append((nll_written - nll_true).cpu())
    return torch.cat(parts)
