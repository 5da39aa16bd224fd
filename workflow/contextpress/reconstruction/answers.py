"""Answers to questions about records: from the record's memory, from its text, from another one's memory, from nothing.

    memory      <bos> z_1 ... z_S  q_1 ... q_m   ->  a_1 a_2 ...
    shuffled    <bos> z'_1 .. z'_S q_1 ... q_m        z' of another record
    text        <bos> x_1 ... x_n  q_1 ... q_m
    nothing     <bos>              q_1 ... q_m

The question stands where it stands in the documents, right after the record. <restate> is left out: what follows it is
the record itself. In one trial (a matched pair, one seed, ratio 4, product records a quarter of the pretraining text)
39 % of the questions whose answer the record states were right so, and 40 % of those about relations; with <restate>
before the question 35 and 16 %.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from contextpress.compressor.model import Compressor
from contextpress.compressor.reading import joined
from contextpress.reconstruction import greedy
from contextpress.reconstruction.greedy import Cost
from contextpress.runtime.errors import UserError

Ids = Sequence[Sequence[int]]


def contexts(compressor: Compressor, ids: Tensor, others: Tensor) -> dict[str, Tensor]:
    """What the decoder reads before a question, by condition: [records, p, width or wider]; one row with nothing.

    Args:
        compressor: in eval mode.
        ids: of each record, [records, window].
        others: for each record the place of another one, [records].
    """
    start = compressor.embed(torch.full((len(ids), 1), compressor.bos, device=ids.device))
    memory = compressor.prefix(compressor.compress(ids))[:, :-1]
    return {
        "memory": memory,
        "shuffled": memory[others],
        "text": joined([start, compressor.embed(ids)]),
        "nothing": start[:1],
    }


def answer(
    compressor: Compressor, contexts: Tensor, which: Sequence[int], prompts: Ids, references: Ids, batch: int
) -> tuple[list[list[int]], Cost]:
    """What the decoder writes greedily after each question, as many tokens as the true answer has.

    Args:
        compressor: gives decoder and embeddings.
        contexts: what is read before the questions, [contexts, p, width or wider].
        which: for each question the place of its context.
        prompts: token ids of each question.
        references: token ids of each true answer. They decide how many tokens are written, never which.
        batch: questions answered side by side.

    Returns:
        token ids of each answer, in the order of the questions, and the cost.

    Raises:
        UserError: if question and answer reach beyond what the decoder can read.
    """
    sizes: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (prompt, reference) in enumerate(zip(prompts, references, strict=True)):
        sizes[len(prompt), len(reference)].append(place)
    device, cost = contexts.device, Cost()
    written: list[list[int]] = [[] for _ in prompts]
    longest = getattr(compressor.decoder.config, "max_position_embeddings", None)
    for (asked, told), places in sizes.items():
        if longest is not None and contexts.shape[1] + asked + told > longest:
            raise UserError(
                f"a question of {asked} tokens and its answer of {told}, after {contexts.shape[1]} positions, are more "
                f"than the {longest} that the decoder reads; leave it out of the file, or give lm.shapes more context"
            )
        rows = torch.tensor([which[place] for place in places], device=device)
        question, true = (
            torch.tensor([list(ids[place]) for place in places], dtype=torch.int64, device=device)
            for ids in (prompts, references)
        )
        read = joined([contexts[rows], compressor.embed(question)])
        done = greedy.reconstruct(compressor.decoder, read, true, batch=batch)
        cost = Cost(cost.passes + done.cost.passes, cost.positions + done.cost.positions)
        for place, answered in zip(places, done.ids.tolist(), strict=True):
            written[place] = answered
    return written, cost
