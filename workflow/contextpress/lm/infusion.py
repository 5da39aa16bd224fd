"""Knowledge infusion: an encoder's pretraining goes on, with part of its text from the decoder's corpus.

After Lv et al., "How to inject knowledge efficiently?", arXiv 2509.19371: too little of a new domain teaches nothing,
and past a point (their collapse point) what was known before is lost. A dose is a share of the text and a number of
steps; a curve over rising doses tells what is gained and what is lost. Ours: their domain knowledge is the decoder's
corpus here, every dose begins at the same pretrained model, and the rest of the text is the encoder's own corpus.
"""

from __future__ import annotations

import torch
from torch import Tensor

from contextpress.runtime.sampling import endless


def infused(own: Tensor, other: Tensor, share: float, count: int, seed: int) -> Tensor:
    """Rows to go on with: ``count`` of them, the share of ``other`` exact to a row.

    Either kind is drawn without replacement, and anew once it is used up. The order is left to the training, which
    goes through all rows once.

    Args:
        own: rows of the model's corpus, [n, row].
        other: rows of the corpus that is infused, [m, row].
        share: of the rows drawn from ``other``, 0 to 1.
        count: rows to draw.
        seed: of the draws.

    Returns:
        Token ids, [count, row].
    """
    taken = round(share * count)
    return torch.cat([endless(other, taken, seed, "infused")(0), endless(own, count - taken, seed, "own")(0)])
