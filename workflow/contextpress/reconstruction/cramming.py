"""Cramming: memory optimised for one passage at a time against a frozen decoder, without an encoder.

It tells what a decoder can be told through so many vectors, whatever an encoder makes of it: a bound for compressors
(Kuratov et al., "Cramming 1568 Tokens into a Single Vector", arXiv 2502.13063). As the optimisation ends after a set
number of steps, it is a bound from below of what the decoder could read.

A memory that predicts nearly every token given the true ones before it may still write nothing right by itself, since
greedy decoding goes astray at its first wrong token. So the text grows: the memory is optimised for the beginning of
the passage that it reproduces, and for the next ``AHEAD`` tokens. Under teacher forcing the tokens before the first
wrong one are what greedy decoding writes, so the longest beginning ever reproduced is exact in free generation::

    passage        the  cat  sat  on   the  mat
    aim 3          the  cat  sat                     loss over these
    first choices  the  dog  sat                     exact: 1, aim stays
    first choices  the  cat  lay                     exact: 2, aim grows to 4

Passages are optimised side by side, each with its own state of Adam (Kingma and Ba, arXiv 1412.6980): no passage
changes another one's result. Those whose aims are alike go through the decoder together, so that little is computed
beyond an aim, and nothing for a passage that is done.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from contextpress.compressor.reading import embed, predictions, prefix
from contextpress.reconstruction.greedy import end_of_text
from contextpress.reconstruction.spec import CrammingConfig

# Decay of Adam's two moments. Short memories, since the loss changes whenever the aim grows: in a trial (one vector,
# 16 passages, 200 steps) 12 tokens were reproduced, and 9 with 0.9 and 0.95.
FIRST, SECOND, TINY = 0.8, 0.9, 1e-8
AHEAD = 2  # tokens aimed at beyond those reproduced
RISE = 10  # steps over which the learning rate of a passage rises


@dataclass(frozen=True)
class Decoder:
    """A frozen decoder, and the marks between which it reads memory.

    Attributes:
        model: causal LM in evaluation mode.
        bos: id of <bos>.
        restate: embedding of <restate>, [width].
    """

    model: PreTrainedModel
    bos: int
    restate: Tensor

    def read(self, memory: Tensor, ids: Tensor) -> Tensor:
        """Teacher-forced logits of ``ids`` [b, n] from ``memory`` [b, S, width]: [b, n, vocabulary]."""
        return predictions(self.model, prefix(self.model, memory, self.bos, self.restate), ids)

    def read_alone(self, ids: Tensor) -> Tensor:
        """The same without memory, after <bos> alone: what the entropy of a passage is measured by."""
        return predictions(self.model, embed(self.model, ids.new_full((len(ids), 1), self.bos)), ids)


@dataclass(frozen=True)
class Crammed:
    """Memory of N passages of n tokens, and what the decoder reads out of it.

    Attributes:
        memory: [N, S, width]: of all that were tried the one whose greedy text agrees longest with the passage.
        aim: tokens from the beginning that it was optimised for, [N].
        exact: tokens from the beginning that greedy decoding writes without an error, [N].
        correct: tokens of the whole passage that are the first choice given the true ones before them, [N].
        nats: what it tells of the tokens aimed at: their nll without memory minus that with it, [N].
        steps: optimiser steps taken, [N].
        positions: positions that went through the decoder, over all passages and steps.
    """

    memory: Tensor
    aim: Tensor
    exact: Tensor
    correct: Tensor
    nats: Tensor
    steps: Tensor
    positions: int


@torch.no_grad()
def cram(decoder: Decoder, ids: Tensor, vectors: int, spec: CrammingConfig) -> Crammed:
    """Optimise ``vectors`` memory vectors for each passage.

    A row of the result is the same alone and among others, but for rounding.

    Args:
        decoder: reads the memory; nothing of it is changed.
        ids: passages, [N, n].
        vectors: S.
        spec: steps, learning rate, passages side by side.
    """
    rows = _Rows(decoder, ids, vectors, spec.batch)
    while len(active := torch.nonzero(~rows.done(spec.steps)).flatten()):
        alike = active[rows.aim[active].argsort(stable=True)]
        for some in alike.tensor_split(-(-len(alike) // spec.batch)):
            rows.step(some, spec.learning_rate)
    return rows.result()


class _Rows:
    """All passages and the state of their optimisation; the first axis of every tensor is the passage."""

    def __init__(self, decoder: Decoder, ids: Tensor, vectors: int, batch: int) -> None:
        self.decoder, self.ids, self.batch = decoder, ids, batch
        self.free = torch.cat([_nll(decoder.read_alone(some), some) for some in ids.split(batch)])  # without memory
        table = decoder.model.get_input_embeddings().weight.float()
        self.size = table.pow(2).mean().sqrt()
        # One draw for all passages, so that no result depends on which passages there are.
        start = torch.randn(vectors, table.shape[1], generator=torch.Generator().manual_seed(0)).to(table.device)
        self.memory = start.repeat(len(ids), 1, 1)  # in units of the size of an embedding's entries
        self.first, self.second = torch.zeros_like(self.memory), torch.zeros_like(self.memory)
        self.age = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        self.aim = torch.full_like(self.age, min(AHEAD, ids.shape[1]))
        self.kept, self.kept_aim = self.memory.clone(), self.aim.clone()
        self.exact, self.nats = torch.full_like(self.age, -1), torch.full_like(self.free[:, 0], -torch.inf)
        # Never written, as in greedy decoding of a set number of tokens.
        self.suppressed = torch.tensor(end_of_text(decoder.model), dtype=torch.long, device=ids.device)
        self.positions = 0

    def done(self, steps: int) -> Tensor:
        """Whether a passage is reproduced to its end, or has had its steps, [N]."""
        return (self.exact == self.ids.shape[1]) | (self.age >= steps)

    def step(self, active: Tensor, learning_rate: float) -> None:
        """One step of the passages ``active`` [b]: see what their memory is worth, and change it."""
        memory, aim = self.memory[active].requires_grad_(), self.aim[active]
        reach = int(aim.max())
        with torch.enable_grad():
            right, nll = self._read(memory, active, reach)
            aimed = torch.arange(reach, device=aim.device) < aim[:, None]
            # Each token counts by the probability it lacks: those that are sure need no gradient, and give way.
            lacking = -torch.expm1(-nll.detach())
            (gradient,) = torch.autograd.grad((nll * lacking * aimed).sum(), memory)
        exact = _leading(right & aimed)
        self._keep(active, exact, ((self.free[active, :reach] - nll) * aimed).sum(1))
        self._move(active, gradient, learning_rate)
        self.aim[active] = torch.maximum(aim, exact + AHEAD).clamp(max=self.ids.shape[1])

    def result(self) -> Crammed:
        """What is read out of the best memory of each passage."""
        length, parts = self.ids.shape[1], []
        for some in torch.arange(len(self.ids), device=self.ids.device).split(self.batch):
            right, nll = self._read(self.kept[some], some, length)
            aimed = torch.arange(length, device=some.device) < self.kept_aim[some, None]
            gain = ((self.free[some] - nll) * aimed).sum(1)
            parts.append((_leading(right), right.sum(1), gain))
        exact, correct, nats = (torch.cat(part) for part in zip(*parts, strict=True))
        return Crammed(self.kept * self.size, self.kept_aim, exact, correct, nats, self.age, self.positions)

    def _read(self, memory: Tensor, rows: Tensor, reach: int) -> tuple[Tensor, Tensor]:
        """Which of the first ``reach`` tokens are the first choice, and their nll: [b, reach] each."""
        ids = self.ids[rows, :reach]
        logits = self.decoder.read(memory * self.size, ids)
        self.positions += len(ids) * (memory.shape[1] + 1 + reach)
        choices = logits.detach()
        if len(self.suppressed):
            choices = choices.index_fill(-1, self.suppressed, -torch.inf)
        chosen = choices.argmax(-1)
        return chosen == ids, _nll(logits, ids)

    def _keep(self, active: Tensor, exact: Tensor, nats: Tensor) -> None:
        """Remember the memory that reproduces most; among equals, the one that tells most."""
        before, told = self.exact[active], self.nats[active]
        better = (exact > before) | ((exact == before) & (nats > told))
        rows = active[better]
        self.kept[rows], self.kept_aim[rows] = self.memory[rows], self.aim[rows]
        self.exact[rows], self.nats[rows] = exact[better], nats[better]

    def _move(self, active: Tensor, gradient: Tensor, learning_rate: float) -> None:
        """Adam, each row by its own age."""
        self.age[active] += 1
        age = self.age[active, None, None]
        first = self.first[active].lerp(gradient, 1 - FIRST)
        second = self.second[active].lerp(gradient.square(), 1 - SECOND)
        self.first[active], self.second[active] = first, second
        direction = first / (1 - FIRST**age) / ((second / (1 - SECOND**age)).sqrt() + TINY)
        self.memory[active] -= learning_rate * (age / RISE).clamp(max=1) * direction


def _nll(logits: Tensor, ids: Tensor) -> Tensor:
    """Nats of each token, [b, n], from logits [b, n, vocabulary]."""
    return cross_entropy(logits.float().flatten(0, 1), ids.flatten(), reduction="none").view_as(ids)


def _leading(right: Tensor) -> Tensor:
    """How many entries of each row [b, n] are true before the first that is not, [b]."""
    return right.long().cumprod(1).sum(1)
