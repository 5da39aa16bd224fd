"""The compressor: encoder, read-out, connector, decoder."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from contextpress.compressor import reading
from contextpress.compressor.connectors import CONNECTORS, Connector, least_squares, start_at
from contextpress.compressor.key_values import KeyValueConnector, KeyValueInputs, recorded
from contextpress.compressor.readouts import READOUTS
from contextpress.compressor.spec import Architecture, per_vector
from contextpress.compressor.train_modes import set_training


class Compressor(nn.Module):
    """Presses passages of ``window`` tokens into ``window / ratio`` vectors and scores or continues what follows them.

    The decoder reads, in the form in which it learned in pretraining to show a text twice:

        <bos> z_1 ... z_S <restate> x_1 ... x_L

    A memory is one tensor [batch, S, features], whatever it holds: input embeddings of the decoder, or with read-out
    kv_prefix keys and values of its layers. Rows of the decoder's input are then wider than its embeddings.

    The embedding of <restate> is trained; for a decoder without that token it starts as that of <bos>.

    An encoder with a tokenizer of its own reads other tokens, in other numbers, and is pressed into as many vectors;
    see tokens/own.py.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        decoder: PreTrainedModel,
        architecture: Architecture,
        window: int,
        bos: int,
        restate: int | None,
        encoder_bos: int | None = None,
        encoder_window: int | None = None,
    ) -> None:
        """Take two pretrained models; new parts draw from torch's global generator.

        ``bos`` and ``restate`` are of the tokenizer that the decoder writes; ``encoder_bos`` and ``encoder_window`` of
        the encoder's, if that is another one.

        Raises:
            ValueError: if the ratio does not divide the window.
        """
        super().__init__()
        if window % architecture.ratio:
            raise ValueError(f"ratio {architecture.ratio} does not divide the window of {window} tokens")
        self.window, self.ratio, self.bos = window, architecture.ratio, bos
        self.slots = window // self.ratio
        self.encoder_bos = bos if encoder_bos is None else encoder_bos
        self.encoder_window = encoder_window or window
        source, target = (model.get_input_embeddings().weight.detach() for model in (encoder, decoder))
        self.readout = READOUTS[architecture.readout](self.slots, source)
        self.connector: nn.Module
        if self.readout.key_values:
            self.connector = KeyValueConnector(encoder.get_decoder(), decoder.get_decoder())
        else:
            body = CONNECTORS[architecture.connector](source.shape[1], decoder)
            if architecture.connector_start == "least_squares":
                start_at(body, *least_squares(source, target))
            self.connector = Connector(body, target)
        self.connector.to(target.device)
        self.restate = nn.Parameter(target[bos if restate is None else restate].float().clone())
        # The encoder's output matrix is never used: only its body is kept.
        self.encoder = set_training(encoder.get_decoder(), architecture.encoder_training, architecture.lora)
        self.decoder = set_training(decoder, architecture.decoder_training, architecture.lora)
        self.carrier = KeyValueInputs(decoder.get_decoder()) if self.readout.key_values else None

    def compress(self, ids: Tensor, group: int | None = None) -> Tensor:
        """Memory of passages: token ids [batch, n] -> [batch, n / group, features], float32.

        ``n`` is the window, or in training a shorter multiple of ``group``: of the tokens that a vector is for, by
        default the ratio, in training also fewer. Where the encoder has a tokenizer of its own, ``n`` is a multiple of
        ``read_per_vector(group)``.
        """
        group = self.read_per_vector(group)
        marked = torch.cat([ids.new_full((len(ids), 1), self.encoder_bos), ids], dim=1)
        embedded, positions = self.readout.inputs(self.encoder.get_input_embeddings()(marked), group)
        # Without a mask, transformers takes a position that does not rise by one for the start of another text.
        everything = ids.new_ones(embedded.shape[:2])
        read = {"inputs_embeds": embedded, "position_ids": positions.unsqueeze(0), "attention_mask": everything}
        if self.readout.key_values:
            with recorded(self.encoder, partial(self.readout.select, group=group)) as kept:
                self.encoder(**read, use_cache=False)
            states = torch.cat(kept, dim=-1)
        else:
            states = self.readout.select(self.encoder(**read, use_cache=False).last_hidden_state, group)
        memory: Tensor = self.connector(states).to(self.restate.dtype)
        assert memory.shape[1] * group == ids.shape[1]
        return memory

    def read_per_vector(self, group: int | None = None) -> int:
        """Tokens that the encoder reads for each vector, where that is ``group`` tokens of the study (the ratio)."""
        return per_vector(group or self.ratio, self.window, self.encoder_window)

    def prefix(self, memory: Tensor, mark: Tensor | None = None) -> Tensor:
        """What the decoder reads before the text: memory [batch, S, features] -> [batch, S + 2, width or wider].

        ``mark`` [width] is the embedding that ends it and says what is to follow: by default that of <restate>.
        """
        return self.framed(memory if self.carrier is None else self.carrier.pack(memory), mark)

    def framed(self, inner: Tensor, mark: Tensor | None = None) -> Tensor:
        """Rows of the decoder's input between <bos> and a mark: [batch, n, width or wider] -> [batch, n + 2, same]."""
        return reading.prefix(self.decoder, inner, self.bos, self.restate if mark is None else mark)

    def embed(self, ids: Tensor) -> Tensor:
        """The decoder's embeddings of token ids [batch, n] -> [batch, n, width], float32."""
        return reading.embed(self.decoder, ids)

    def logits(self, prefix: Tensor, ids: Tensor) -> Tensor:
        """Teacher-forced predictions of ``ids`` [batch, n] after ``prefix`` [batch, p, ...]; see ``predictions``."""
        return reading.predictions(self.decoder, prefix, ids)
