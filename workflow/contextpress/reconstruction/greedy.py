"""Exact greedy reconstruction, drafted by the text that is to be reproduced.

Plain greedy decoding writes one token per forward pass. Here the text that the decoder should write is known, so it
can be guessed and checked: one pass over several guessed tokens tells what the decoder would have written after each
of them, and all its answers count up to and including the first that differs from the guess. Every token kept is
the decoder's own first choice after the tokens it wrote before, so the result equals plain greedy decoding token for
token (in float32; in lower precision near-ties can fall either way, as they do between two batch sizes). A
perfect memory costs one pass instead of one per token.

    reference       the  cat  sat  on   the  mat
    pass 1  fed          the  cat  sat  on   the        after memory and <restate>
            answers the  cat  lay  on   a    mat        kept: the cat lay; what follows rests on `sat` and is dropped
    pass 2  fed                    lay  on   the        its own last token, then the reference again
            answers                     on   the  rug   kept: on the rug

A text that has left the reference for good is decoded by single steps. Rows that are done make room for new ones, so
that the steps are always taken by a full batch. The first pass is also the teacher-forced evaluation.

What is saved is passes, not positions: much where launching a pass costs more than its work (GPU, small batches), at
most half on one CPU thread with full batches. Where memory is poor, it costs plain decoding and the first pass.

This is speculative decoding (Leviathan et al., arXiv 2211.17192) with the reference in the place of a draft model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from contextpress.compressor.reading import joined
from contextpress.reconstruction.cache import Ids, SlotCache
from contextpress.reconstruction.metrics import teacher_forced
from contextpress.runtime.device import rows_at_once
from contextpress.runtime.errors import UserError

# Tokens of context compared when a row's text is realigned with the reference. A single common token says little.
LONGEST_MATCH, SHORTEST_MATCH = 4, 2
# What a forward pass costs besides the positions it computes, counted in positions. Decides how far to guess. One CPU
# thread took equally long with 8 to 128 (4 layers, width 192); for a GPU it is reckoned from 15 ms of launching
# kernels and some 1 GFLOP per position, not measured.
OVERHEAD = {"cpu": 64, "cuda": 1024}
WIDEST = 128  # positions of one row in one pass after its first
MEMORY = 0.7  # weight of the past, per pass, in a row's estimated share of right guesses
REFILL = 4  # new rows come in when 1/REFILL of the batch is free


@dataclass
class Cost:
    """What decoding cost: forward passes, and positions computed in them, over all rows."""

    passes: int = 0
    positions: int = 0


@dataclass(frozen=True)
class Reconstruction:
    """Greedy text of a batch, and what the first, teacher-forced pass over the reference gives for nothing.

    Attributes:
        ids: greedy tokens, int64 [batch, length].
        nll: teacher-forced mean negative log-likelihood of the reference, nats per token, float32 [batch].
        accuracy: share of reference tokens that are the teacher-forced first choice, float32 [batch].
        cost: passes and positions of all of it.
    """

    ids: Tensor
    nll: Tensor
    accuracy: Tensor
    cost: Cost


@torch.no_grad()
def reconstruct(
    model: PreTrainedModel,
    prefix: Tensor,
    reference: Tensor,
    *,
    batch: int = 64,
    suppressed: Sequence[int] | None = None,
    overhead: int | None = None,
) -> Reconstruction:
    """Decode greedily after ``prefix``, exactly as many tokens as ``reference`` has.

    The ids are those of ``model.generate(inputs_embeds=prefix, max_new_tokens=length, min_new_tokens=length,
    do_sample=False)`` in float32: end-of-text never stops a row, and no penalty is applied.

    Args:
        model: causal LM in eval mode, full attention with positions given by ``position_ids``, sdpa or eager.
        prefix: input embeddings [rows, prefix length, width]: BOS, memory, restate; no padding. Wider, where the model
            takes more than embeddings (see compressor/key_values.py).
        reference: token ids [rows, length], at least one token. Steers the speed only, never the ids.
        batch: most rows decoded together; bounds the memory.
        suppressed: token ids never written; by default the model's end-of-text ids, as ``generate`` does.
        overhead: cost of a pass in positions, by default ``OVERHEAD`` of the device. Speed only.
    """
    _check(model, prefix, reference)
    suppressed = end_of_text(model) if suppressed is None else suppressed
    overhead = OVERHEAD.get(prefix.device.type, OVERHEAD["cuda"]) if overhead is None else overhead
    return _Drafting(model, prefix, reference, batch, suppressed, overhead).run()


@torch.no_grad()
def score(model: PreTrainedModel, prefixes: Tensor, which: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Cost]:
    """The teacher-forced pass of `reconstruct` alone, for texts whose prefixes are decoded elsewhere.

    Args:
        model: causal LM in eval mode.
        prefixes: input embeddings [prefixes, prefix length, width]; rows of a batch that share one compute it once.
        which: for each row the place of its prefix [rows].
        reference: token ids [rows, length].

    Returns:
        nll in nats per token and accuracy, each [rows], and the cost.
    """
    cost, scores = Cost(), []
    rows = rows_at_once(reference.device, prefixes.shape[1] + reference.shape[1])
    for places, targets in zip(which.split(rows), reference.split(rows), strict=True):
        distinct, shared = places.unique(return_inverse=True)
        cache, before = DynamicCache(config=model.config), {"inputs_embeds": prefixes[distinct]}
        logits = model(**before, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[shared]
        _charge(cost, before)
        if targets.shape[1] > 1:
            cache.batch_select_indices(shared)
            text = {"input_ids": targets[:, :-1]}
            logits = torch.cat([logits, model(**text, past_key_values=cache, use_cache=True).logits], dim=1)
            _charge(cost, text)
        scores.append(teacher_forced(logits, targets))
    nll, accuracy = (torch.cat(column) for column in zip(*scores, strict=True))
    return nll, accuracy, cost


@torch.no_grad()
def stepwise(
    model: PreTrainedModel,
    prefix: Tensor,
    length: int,
    *,
    batch: int = 64,
    suppressed: Sequence[int] | None = None,
) -> tuple[Tensor, Cost]:
    """Plain greedy decoding with a cache, one token per pass and row: the baseline and a second oracle.

    Args:
        model: causal LM in eval mode.
        prefix: input embeddings [rows, prefix length, width].
        length: tokens to write.
        batch: rows decoded together.
        suppressed: token ids never written; by default the model's end-of-text ids.

    Returns:
        ids [rows, length] and the cost.
    """
    suppressed = end_of_text(model) if suppressed is None else suppressed
    cost, parts = Cost(), []
    for rows in prefix.split(batch):
        cache, inputs, written = DynamicCache(config=model.config), {"inputs_embeds": rows}, []
        for _ in range(length):
            logits = model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            written.append(_first_choice(logits, suppressed))
            _charge(cost, inputs)
            inputs = {"input_ids": written[-1]}
        parts.append(torch.cat(written, dim=1))
    return torch.cat(parts), cost


def end_of_text(model: PreTrainedModel) -> list[int]:
    """The ids that end a text for ``generate``: none, one or several."""
    ids = model.generation_config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


class _Drafting:
    """One run of `reconstruct`. Arrays are indexed by row; ``active[i]`` is the row at place i of the cache.

    Attributes:
        written: tokens so far [rows, length], -1 where there are none yet.
        count: how many of them [rows].
        shift: place in the reference that the next token corresponds to, minus its place in the text [rows].
        right, wrong: recent guesses that were confirmed, and that were refuted [rows].
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prefix: Tensor,
        reference: Tensor,
        batch: int,
        suppressed: Sequence[int],
        overhead: int,
    ) -> None:
        self.model, self.suppressed, self.overhead, self.cost = model, suppressed, overhead, Cost()
        self.prefix, self.targets, self.reference = prefix, reference, reference.cpu().numpy()
        rows, self.length = reference.shape
        self.start = prefix.shape[1]
        self.batch = min(batch, rows)
        self.together = rows_at_once(prefix.device, self.start + self.length)
        self.cache = SlotCache(self.batch, self.start + self.length)
        self.active, self.waiting = np.arange(0), np.arange(rows)
        self.written = np.full((rows, self.length), -1, dtype=np.int64)
        self.count, self.shift = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        self.right, self.wrong = np.zeros(rows), np.zeros(rows)
        self.scores: list[tuple[Tensor, Tensor]] = []

    def run(self) -> Reconstruction:
        """Admit, verify, drop, until no row is left."""
        while len(self.waiting) or len(self.active):
            free = self.batch - len(self.active)
            if len(self.waiting) and free * REFILL >= self.batch:
                admitted, self.waiting = self.waiting[:free], self.waiting[free:]
                for first in range(0, len(admitted), self.together):
                    self._first_pass(admitted[first : first + self.together])
            else:
                self._next_pass()
            self._drop_finished()
        nll, accuracy = (torch.cat(column) for column in zip(*self.scores, strict=True))
        return Reconstruction(torch.from_numpy(self.written).to(self.targets.device), nll, accuracy, self.cost)

    def _first_pass(self, rows: Ids) -> None:
        """Admit rows: memory and the whole reference in one pass."""
        targets = self.targets[rows[0] : rows[-1] + 1]
        draft = self.model.get_input_embeddings()(targets[:, :-1]).to(self.prefix.dtype)
        inputs = joined([self.prefix[rows[0] : rows[-1] + 1], draft])
        taken = len(self.active)
        self.cache.point(slice(taken, taken + len(rows)), used=inputs.shape[1])
        self.active = np.concatenate([self.active, rows])
        logits = self._forward(keep=self.length, inputs_embeds=inputs)
        self.scores.append(teacher_forced(logits, targets))
        self.right[rows] = self.scores[-1][1].cpu().numpy()  # the first estimate; one failure outweighs it
        self.wrong[rows] = 1 - self.right[rows]
        said = _first_choice(logits, self.suppressed).cpu().numpy()
        self._keep(rows, self.reference[rows], said)

    def _next_pass(self) -> None:
        """Every active row: its last token and a stretch of the reference, as far as it is likely to be right."""
        rows = self.active
        count, remaining = self.count[rows], self.length - self.count[rows]
        place = _align(self.written[rows], count, self.reference[rows], self.shift[rows])
        self.shift[rows] = place - count
        width = _width(self.right[rows] / (self.right[rows] + self.wrong[rows]), remaining, self.overhead)
        steps = np.arange(width)
        # Beyond the end of the reference there is nothing to guess: any token will do.
        draft = self.reference[rows[:, None], np.minimum(place[:, None] + steps, self.length - 1)]
        inputs = np.concatenate([self.written[rows, count - 1][:, None], draft[:, :-1]], axis=1)
        positions = np.minimum(self.start + count[:, None] - 1 + steps, self.cache.slots - 1)
        pointed = self._tensor(positions)
        self.cache.point(slice(0, len(rows)), used=int(positions.max()) + 1, positions=pointed)
        logits = self._forward(keep=width, input_ids=self._tensor(inputs), position_ids=pointed)
        said = _first_choice(logits, self.suppressed).cpu().numpy()
        confirmed, kept = self._keep(rows, draft, said)
        # A single step, too, tests a guess: so a row can earn longer drafts again.
        self.right[rows] = MEMORY * self.right[rows] + np.minimum(confirmed, kept)
        self.wrong[rows] = MEMORY * self.wrong[rows] + (confirmed < kept)

    def _keep(self, rows: Ids, draft: Ids, said: Ids) -> tuple[Ids, Ids]:
        """Append the answers up to and including the first that differs from the draft; both [rows, width].

        Returns:
            how many answers from the first on were guessed, and how many answers were kept, each [rows].
        """
        width = said.shape[1]
        confirmed = np.cumprod(draft == said, axis=1).sum(axis=1)
        kept = np.minimum(np.minimum(confirmed + 1, width), self.length - self.count[rows])
        row, step = np.nonzero(np.arange(width) < kept[:, None])
        self.written[rows[row], self.count[rows[row]] + step] = said[row, step]
        self.count[rows] += kept
        return confirmed, kept

    def _drop_finished(self) -> None:
        done = self.count[self.active] == self.length
        left = int((~done).sum())
        # Rows from the end of the cache fill the holes, so that each leaving row costs one copy at most.
        holes, fillers = np.flatnonzero(done[:left]), left + np.flatnonzero(~done[left:])
        self.cache.move(fillers, holes)
        self.active[holes] = self.active[fillers]
        self.active = self.active[:left]

    def _forward(self, keep: int, **inputs: Tensor) -> Tensor:
        _charge(self.cost, inputs)
        mask = self.cache.mask(self.model.dtype)
        output = self.model(
            **inputs, attention_mask=mask, past_key_values=self.cache, use_cache=True, logits_to_keep=keep
        )
        return output.logits

    def _tensor(self, array: Ids) -> Tensor:
        return torch.from_numpy(array).to(self.targets.device)


def _align(written: Ids, count: Ids, reference: Ids, shift: NDArray[np.int64]) -> Ids:
    """Place in the reference [rows] that each row's next token corresponds to.

    Where the last tokens written stand in the reference, the place after them: the longest match of
    ``SHORTEST_MATCH`` to ``LONGEST_MATCH`` tokens, then the one nearest to the former alignment. Without a match, the
    former alignment holds: a wrong token stands for a right one.

        reference   a b c d e f          place of the next token
        written     a b d e              5, the place of f: `d e` stands at 3 and 4 (the row lost c)

    Args:
        written: [rows, length], -1 where nothing is written.
        count: tokens written [rows], at least 1, less than length.
        reference: [rows, length].
        shift: former place minus count [rows].
    """
    rows, length = reference.shape
    every, places = np.arange(rows), np.arange(length)
    matches, matched = np.ones((rows, length), dtype=bool), np.zeros((rows, length), dtype=np.int64)
    for back in range(1, min(LONGEST_MATCH, length - 1) + 1):
        # In a row with fewer tokens the index wraps round to its unwritten end, which matches nothing.
        matches[:, back:] &= reference[:, :-back] == written[every, count - back][:, None]
        matches[:, :back] = False
        matched += matches
    matched[matched < SHORTEST_MATCH] = 0
    distance = np.abs(places - (count + shift)[:, None])
    return np.argmax(matched * 4 * length - distance, axis=1)


def _width(rate: NDArray[np.float64], remaining: Ids, overhead: int) -> int:
    """Tokens to feed per row, its last one included, for the most expected new tokens at the cost of the pass.

    A row whose guesses are right with probability a gains 1 + a + a^2 + ... tokens, as many terms as are fed and
    needed.

    Args:
        rate: estimated probability that a guess is right [rows].
        remaining: tokens still to be written [rows].
        overhead: cost of a pass in positions.
    """
    widths = np.arange(1, min(int(remaining.max()), WIDEST) + 1)
    gain = (rate[:, None] ** (widths - 1) * (widths <= remaining[:, None])).sum(axis=0).cumsum()
    return int(widths[np.argmax(gain / (overhead + len(rate) * widths))])


def _first_choice(logits: Tensor, suppressed: Sequence[int]) -> Tensor:
    """Arg-max over the vocabulary without the suppressed ids; overwrites their logits. [...] of [..., vocabulary]."""
    if suppressed:
        logits[..., list(suppressed)] = -torch.inf
    return logits.argmax(-1)


def _charge(cost: Cost, inputs: dict[str, Tensor]) -> None:
    rows, width = next(iter(inputs.values())).shape[:2]
    cost.passes += 1
    cost.positions += rows * width


def _check(model: PreTrainedModel, prefix: Tensor, reference: Tensor) -> None:
    if model.training:
        raise ValueError("the model is in train mode: its dropout would change the text")
    if len(prefix) != len(reference) or not reference.shape[1] or not prefix.shape[1]:
        raise ValueError(f"prefix {tuple(prefix.shape)} and reference {tuple(reference.shape)} do not fit")
    slots = prefix.shape[1] + reference.shape[1]
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    window = getattr(model.config, "sliding_window", None)
    if kinds - {"full_attention", "sliding_attention"} or (window is not None and window < slots):
        raise UserError(
            f"decoder {model.config.model_type} does not attend to all {slots} positions (layers: {sorted(kinds)}, "
            f"window: {window}); a decoder with full attention is needed"
        )
