"""Passages in the tokens of a model that has a tokenizer of its own (`tokenizer: own` of a loaded model).

A passage is a text. It is cut once, by the study's tokenizer, into windows of equal length, and every pair of a study
is tried on the same windows. A model with a tokenizer of its own reads the same text in its own tokens, of which there
are as many as there are: 26 of one passage, 37 of another. What follows from that, room by room:

- entropy: the mean over the model's own tokens, and bits per byte, which can be compared between tokenizers.
- compressor: a passage is pressed into window / ratio vectors, whatever reads it, so that all pairs have the same
  budget for the same text. An encoder with a tokenizer of its own reads each passage filled up by <bos> to one length
  (`window` of the model), a whole number of its tokens for each vector. It is causal: what is filled in changes
  nothing before it. A decoder learns to write its own tokens of the text, and what it is filled up with counts for
  nothing.
- reconstruction: plain greedy decoding writes as many tokens as the decoder has for the text; nll and accuracy are
  means over these. What is counted in tokens of the greedy text (token F1, prefix, edits, exact match) is counted in
  the study's tokens, of the text and of the reconstruction alike: one unit for all decoders.
- reuse: a text is cut into windows by the study's tokenizer too, and a memory file holds how many tokens the decoder
  has of each window.
- gap: divergences and differences of entropies need one set of tokens. They are left empty, with the reason beside
  them, where the two models of a pair have different ones.

A passage that has more tokens than the model's `window` is an error, which says how many are needed. Disturbed
passages of the control ladder, which can come to many more, are cut, and so are training passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contextpress.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def retokenized(
    passages: pd.DataFrame, ids: Sequence[Sequence[int]], words: PreTrainedTokenizerBase, window: int
) -> pd.DataFrame:
    """The passages in other tokens: ``token_ids``, and ``text`` as these say it.

    Of a passage that is cut to ``window`` tokens, text and bytes are those that are left.

    Args:
        passages: rows of the passages table.
        ids: what their texts are in tokens of ``words``.
        words: the model's own tokenizer.
        window: most tokens of a passage.

    Raises:
        UserError: if a passage has no token.
    """
    for name, own in zip(passages["passage_id"], ids, strict=True):
        if not own:
            raise UserError(f"passage {name} has no token in the tokenizer of the model; choose another tokenizer")
    kept = [list(own[:window]) for own in ids]
    texts = words.batch_decode(kept, clean_up_tokenization_spaces=False)
    sizes = [
        len(text.encode()) if len(own) > window else size
        for own, text, size in zip(ids, texts, passages["bytes"], strict=True)
    ]
    return passages.assign(token_ids=pd.Series(kept, index=passages.index), text=texts, bytes=sizes)


def filled(rows: Sequence[Sequence[int]], length: int, by: int) -> NDArray[np.int64]:
    """Rows of ids cut or filled up ``by`` an id to ``length``: [rows, length]."""
    whole = np.full((len(rows), length), by, dtype=np.int64)
    for place, row in enumerate(rows):
        whole[place, : len(row)] = row[:length]
    return whole


def padded(rows: Sequence[Sequence[int]], by: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of ids filled up ``by`` an id to the longest of them, [rows, longest], and how many each has, [rows].

    A causal model says the same of a token whatever comes after it: what is filled in need only not be counted.
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return filled(rows, int(lengths.max()), by), lengths
