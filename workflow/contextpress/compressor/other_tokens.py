"""What encoder and decoder have of a training passage, where one of them has a tokenizer of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from contextpress.compressor.objectives import NOTHING
from contextpress.compressor.spec import CompressorSpec, per_vector
from contextpress.tokens.own import filled
from contextpress.tokens.tokenizer import encoded


class OtherTokens:
    """Turns rows of the study's tokens into the encoder's and the decoder's, by way of their text.

    It does so at every step: training passages are shorter at first, and begin anywhere, and only the text of what is
    cut is the same for both.
    """

    def __init__(
        self,
        spec: CompressorSpec,
        study: PreTrainedTokenizerBase,
        encoder: PreTrainedTokenizerBase,
        decoder: PreTrainedTokenizerBase,
    ) -> None:
        """Take the study's tokenizer, and those that the two models read, which may be the study's."""
        self.spec, self.study, self.encoder, self.decoder = spec, study, encoder, decoder

    def __call__(self, rows: Tensor, group: int) -> tuple[Tensor, Tensor]:
        """What is read [batch, n] and written [batch, m] of rows [batch, l] of the study's, ``group`` for a vector.

        n is the same for all rows of a length and group; m is that of the longest row, the others end in ``NOTHING``.
        """
        texts = self.study.batch_decode(rows, clean_up_tokenization_spaces=False)
        spec, length = self.spec, rows.shape[1]
        read = written = rows
        if spec.encoder_window is not None:
            each = per_vector(group, spec.window, spec.encoder_window)
            read = torch.from_numpy(
                filled(encoded(self.encoder, texts), length // group * each, self.encoder.bos_token_id)
            )
        if spec.decoder_window is not None:
            most = -(-length * spec.decoder_window // spec.window)
            ids = encoded(self.decoder, texts)
            longest = min(most, max(1, *map(len, ids)))
            written = torch.from_numpy(filled(ids, longest, NOTHING))
        return read, written
