"""Objectives: what a compressor is trained to make its decoder do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from contextpress.compressor.model import Compressor
from contextpress.runtime.objective import Objective

NOTHING = -1  # in the place of a token that is not there


class Autoencoding(Objective):
    """Restate the passage from its memory (ICAE, arXiv 2307.06945, eq. 2).

    decoder reads   <bos> z_1 ... z_S <restate> x_1 ... x_n
    """

    spans = 1  # texts of n tokens in a training row, one after the other: the passage, and what follows it

    def __init__(self, compressor: Compressor, continuation_weight: float) -> None:
        """The weight is not for this objective."""
        super().__init__()
        self.compressor = compressor

    def forward(self, rows: Tensor, group: int | None = None) -> Tensor:
        """Mean nll of passages [batch, n], nats per token, given their memory; for ``group`` see ``compress``."""
        return self.nll(self.compressor.prefix(self.compressor.compress(rows, group)), rows)

    def labelled(self, *inputs: Tensor | int) -> int:
        """All tokens of the rows, and as many of each row: what is restated, and what follows."""
        rows = inputs[0]
        assert isinstance(rows, Tensor)
        return rows.numel()

    def nll(self, prefix: Tensor, ids: Tensor) -> Tensor:
        """Mean nll of ``ids`` [batch, n] after ``prefix`` [batch, p, width], in nats per token."""
        logits = self.compressor.logits(prefix, ids)
        return cross_entropy(logits.flatten(0, 1).float(), ids.flatten())


class AutoencodingContinuation(Autoencoding):
    """Restate the passage and continue it, from one memory (the two pretraining tasks of ICAE).

    decoder reads   <bos> z_1 ... z_S <restate>  x_1   ... x_n
                    <bos> z_1 ... z_S <continue> x_n+1 ... x_2n

    The embedding of <continue> is trained and starts as that of <bos>. Only training needs it.
    """

    spans = 2

    def __init__(self, compressor: Compressor, continuation_weight: float) -> None:
        """``continuation_weight``: of the continuation's nll in the loss, 0 to 1; restating has the rest."""
        super().__init__(compressor, continuation_weight)
        self.weight = continuation_weight
        start = compressor.embed(torch.tensor(compressor.bos, device=compressor.restate.device))
        self.mark = nn.Parameter(start.detach().clone())

    def forward(self, rows: Tensor, group: int | None = None) -> Tensor:
        """Weighted nll of passages and what follows them, [batch, 2 n], in nats per token."""
        passage, following = rows.chunk(2, dim=1)
        memory = self.compressor.compress(passage, group)
        restated = self.nll(self.compressor.prefix(memory), passage)
        continued = self.nll(self.compressor.prefix(memory, self.mark), following)
        return (1 - self.weight) * restated + self.weight * continued


class RestatingOtherTokens(Autoencoding):
    """Restate the passage where encoder and decoder, or one of them and the study, have different tokens of it."""

    def forward(self, read: Tensor, written: Tensor, group: int | None = None) -> Tensor:  # type: ignore[override]
        """Mean nll of passages, nats per token of the decoder.

        Args:
            read: what the encoder reads of each passage, [batch, n].
            written: what the decoder is to write, [batch, m]; a row that is shorter ends in ``NOTHING``.
            group: see ``compress``.
        """
        prefix = self.compressor.prefix(self.compressor.compress(read, group))
        logits = self.compressor.logits(prefix, written.clamp(min=0))
        return cross_entropy(logits.flatten(0, 1).float(), written.flatten(), ignore_index=NOTHING)

    def labelled(self, *inputs: Tensor | int) -> int:
        """The tokens that are to be written."""
        written = inputs[1]
        assert isinstance(written, Tensor)
        return int((written != NOTHING).sum())


OBJECTIVES = {"autoencoding": Autoencoding, "autoencoding_continuation": AutoencodingContinuation}
