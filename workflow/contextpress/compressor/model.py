"""The compressor: encoder, read-out, connector, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from contextpress.compressor import reading
from contextpress.compressor.connectors import CONNECTORS, Connector
from contextpress.compressor.readouts import READOUTS
from contextpress.compressor.spec import Architecture
from contextpress.compressor.train_modes import set_training


class Compressor(nn.Module):
    """Presses passages of ``window`` tokens into ``window / ratio`` vectors and scores or continues what follows them.

    The decoder reads, in the form in which it learned in pretraining to show a text twice:

        <bos> z_1 ... z_S <restate> x_1 ... x_L

    The embedding of <restate> is trained; for a decoder without that token it starts as that of <bos>.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        decoder: PreTrainedModel,
        architecture: Architecture,
        window: int,
        bos: int,
        restate: int | None,
    ) -> None:
        """Take two pretrained models; new parts draw from torch's global generator.

        Raises:
            ValueError: if the ratio does not divide the window.
        """
        super().__init__()
        if window % architecture.ratio:
            raise ValueError(f"ratio {architecture.ratio} does not divide the window of {window} tokens")
        self.window, self.ratio, self.bos = window, architecture.ratio, bos
        self.slots = window // self.ratio
        source, target = (model.get_input_embeddings().weight.detach() for model in (encoder, decoder))
        self.readout = READOUTS[architecture.readout](self.slots, architecture.ratio, source)
        self.connector = Connector(CONNECTORS[architecture.connector](source.shape[1], target.shape[1]), target)
        self.connector.to(target.device)
        self.restate = nn.Parameter(target[bos if restate is None else restate].float().clone())
        # The encoder's output matrix is never used: only its body is kept.
        self.encoder = set_training(encoder.get_decoder(), architecture.encoder_training, architecture.lora)
        self.decoder = set_training(decoder, architecture.decoder_training, architecture.lora)

    def compress(self, ids: Tensor) -> Tensor:
        """Memory of passages: token ids [batch, n] -> [batch, n / ratio, decoder width], float32.

        ``n`` is the window, or in training a shorter multiple of the ratio.
        """
        marked = torch.cat([ids.new_full((len(ids), 1), self.bos), ids], dim=1)
        embedded = self.readout.inputs(self.encoder.get_input_embeddings()(marked))
        states = self.encoder(inputs_embeds=embedded, use_cache=False).last_hidden_state
        memory: Tensor = self.connector(self.readout.select(states))
        assert memory.shape[1] * self.ratio == ids.shape[1]
        return memory

    def prefix(self, memory: Tensor) -> Tensor:
        """What the decoder reads before the text: [batch, S, width] -> [batch, S + 2, width]."""
        return reading.prefix(self.decoder, memory, self.bos, self.restate)

    def embed(self, ids: Tensor) -> Tensor:
        """The decoder's embeddings of token ids [batch, n] -> [batch, n, width], float32."""
        return reading.embed(self.decoder, ids)

    def logits(self, prefix: Tensor, ids: Tensor) -> Tensor:
        """Teacher-forced predictions of ``ids`` [batch, n] after ``prefix`` [batch, p, width]; see ``predictions``."""
        return reading.predictions(self.decoder, prefix, ids)

    def reconstruction_loss(self, ids: Tensor) -> Tensor:
        """The autoencoding objective (ICAE, eq. 2): mean nll of passages [batch, n] given their memory, nats."""
        logits = self.logits(self.prefix(self.compress(ids)), ids)
        return cross_entropy(logits.flatten(0, 1).float(), ids.flatten())
