"""Growth: work of one, two and four times a size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from benchmarks.decoding import our_reconstructions
from benchmarks.harness import Side
from benchmarks.scoring import our_scores
from benchmarks.shapes import Shape
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.simulate import Study, simulate
from contextpress.analysis.verdicts import assess, findings
from contextpress.corpus import arithmetic
from contextpress.corpus.documents import table
from contextpress.corpus.filters import NearDuplicates, shingles
from contextpress.corpus.spec import Cut
from contextpress.tokens.cut import cut_passages
from contextpress.tokens.tokenizer import train_tokenizer

PASSAGES = 64  # at size one; they fill a batch
CHARACTERS = 200_000  # of text at size one
DOCUMENTS = 12  # per domain of a study at size one


def scoring(factor: int, shape: Shape, device: torch.device) -> Side:
    """Of passages."""
    return our_scores(replace(shape, scored=factor * min(PASSAGES, shape.scored)), device)


def reconstruction(factor: int, shape: Shape, device: torch.device) -> Side:
    """Of passages, a third of whose tokens are wrong."""
    passages = min(PASSAGES, shape.decoded)
    return our_reconstructions(0.3, replace(shape, decoded=factor * passages), device, batch=passages)


def analysis(factor: int, shape: Shape, device: torch.device) -> Side:
    """Of observations: the tests of all claims."""
    study = Study(documents=factor * min(DOCUMENTS, shape.scored), passages=4, seeds=(0, 1))
    observations, spec = simulate(study), ClaimsSpec(draws=50, also_measures=())

    def run() -> float:
        findings(assess(observations, spec), spec)
        return len(observations)

    return Side(run, dtype="float64", note=f"{len(observations):,} observations at size 1")


def cutting(factor: int, shape: Shape, device: torch.device) -> Side:
    """Of text: near-duplicates refused, documents split, tokens cut into passages."""
    characters = factor * min(CHARACTERS, 4000 * shape.scored)
    found = list(arithmetic.documents(characters, 4000, seed=0))
    tokenizer = train_tokenizer((document.text for document in found[:50]), 300)

    def run() -> float:
        seen = NearDuplicates()
        kept = [document for document in found if seen.add(shingles(document.text))]
        frame = table({"arithmetic": kept}, Cut(document_characters=4000, validation=0.05, test=0.1))
        for _ in cut_passages(lambda: [frame], tokenizer, shape.window, len(kept), "benchmark"):
            pass
        return characters

    run()
    return Side(run, np.array([characters]), dtype="integers", note=f"{characters:,} characters at size 1")
