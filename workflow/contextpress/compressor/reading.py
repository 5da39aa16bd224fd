"""What a decoder reads: memory, the mark to restate it, then the text.

    <bos> z_1 ... z_S <restate> x_1 ... x_L

The form in which decoders learned in pretraining to show a text twice; compressors and crammed memory share it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel


def embed(decoder: PreTrainedModel, ids: Tensor) -> Tensor:
    """The decoder's embeddings of token ids [batch, n] -> [batch, n, width], float32."""
    embedded: Tensor = decoder.get_input_embeddings()(ids)
    return embedded.float()


def prefix(decoder: PreTrainedModel, memory: Tensor, bos: int, restate: Tensor) -> Tensor:
    """What stands before the text: [batch, S, width or wider] -> [batch, S + 2, same].

    Args:
        decoder: whose embedding of <bos> is read.
        memory: vectors of each text, [batch, S, width or wider].
        bos: id of <bos>.
        restate: embedding of <restate>, [width].
    """
    batch = len(memory)
    start = embed(decoder, torch.full((batch, 1), bos, device=memory.device))
    return joined([start, memory, restate.expand(batch, 1, -1)])


def predictions(decoder: PreTrainedModel, prefix: Tensor, ids: Tensor) -> Tensor:
    """Teacher-forced logits of ``ids`` [batch, n] after ``prefix`` [batch, p, width or wider]: [batch, n, vocabulary].

    reads      prefix_1 ... prefix_p  x_1 ... x_n-1
    predicts                    x_1   x_2 ... x_n
    """
    read = joined([prefix, embed(decoder, ids[:, :-1])])
    hidden = decoder.get_decoder()(inputs_embeds=read, use_cache=False).last_hidden_state
    # Contiguous, or torch multiplies with the matrix row by row of the batch: at four tokens a row half as fast.
    predicted: Tensor = decoder.get_output_embeddings()(hidden[:, prefix.shape[1] - 1 :].contiguous())
    assert predicted.shape[:2] == ids.shape
    return predicted


def joined(parts: list[Tensor]) -> Tensor:
    """Rows of a decoder's input one after the other, [batch, n_i, width_i] -> [batch, sum n_i, widest].

    Those that carry nothing are filled up with zeros.
    """
    widest = max(part.shape[-1] for part in parts)
    return torch.cat([pad(part, (0, widest - part.shape[-1])) for part in parts], dim=1)
