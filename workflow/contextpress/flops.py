"""Floating-point operations of a training, counted by hand: two for each multiplication and addition.

Matrix products alone, as Chowdhery et al. (PaLM, arXiv 2204.02311, appendix B) count them: no norms, no softmax, no
embedding look-ups, no optimiser. A matrix costs once in the forward pass, once for the gradient of its inputs and,
where it is trained, once for its own: 6 N D there, 4 N D where it is frozen and only hands gradients on. Attention is
counted over all pairs of positions, and always three times: both of its factors hang on the input.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from contextpress.compressor.spec import Architecture, Curriculum, Debias, LowRank
from contextpress.lm.spec import Shape

TRAINED, FROZEN, READ = 3, 2, 1  # products with a matrix in a step; READ: forward alone


def matrices(shape: Shape) -> list[tuple[int, int]]:
    """Sizes of the matrices of one transformer block: queries, keys, values, output; gate, up, down."""
    return [(shape.width, shape.width)] * 4 + [(shape.width, shape.intermediate)] * 3


def products(sizes: Iterable[tuple[int, int]], places: int, passes: int) -> int:
    """Of matrices [m, n] at ``places`` positions, ``passes`` products with each."""
    return 2 * places * passes * sum(m * n for m, n in sizes)


def body(shape: Shape, length: int, rows: int, training: str, lora: LowRank | None = None) -> int:
    """One training step of all transformer blocks on ``rows`` of ``length`` positions; training: frozen, lora, full.

    Or read: a forward pass alone, without the little that LoRA adds to it.
    """
    passes = {"full": TRAINED, "read": READ}.get(training, FROZEN)
    found = products(matrices(shape), rows * length, passes)
    if training == "lora" and lora is not None:
        low_rank = [side for m, n in matrices(shape) for side in ((m, lora.rank), (lora.rank, n))]
        found += products(low_rank, rows * length, TRAINED)
    return shape.layers * (found + attention(shape, length, rows, READ if training == "read" else TRAINED))


def attention(shape: Shape, length: int, rows: int, passes: int = TRAINED) -> int:
    """Scores and weighted sums of one layer, forward and backward."""
    return passes * 2 * 2 * rows * length**2 * shape.width


def connector(
    architecture: Architecture, encoder: Shape, decoder: Shape, slots: int, rows: int, passes: int = TRAINED
) -> int:
    """One training step of the connector on ``slots`` vectors of each row."""
    one, two = encoder.width, decoder.width
    inner = 2 * max(one, two)
    sizes = {
        "linear": [(one, two)],
        "mlp": [(one, inner), (inner, two)],
        "deep": [(one, inner), (inner, inner), (inner, inner), (inner, two)],
        "alignment": [(one, two), *matrices(decoder)],
    }[architecture.connector]
    block = attention(decoder, slots, rows, passes) if architecture.connector == "alignment" else 0
    return products(sizes, slots * rows, passes) + block


@lru_cache(maxsize=4096)
def compressor_step(
    architecture: Architecture, encoder: Shape, decoder: Shape, vocabulary: int, length: int, slots: int, rows: int
) -> int:
    """One step of autoencoding, on ``rows`` passages of ``length`` tokens, pressed into ``slots`` vectors each.

    The encoder reads <bos> and the passage, and memory tokens where there are some; the decoder <bos>, memory, the mark
    and all tokens but the last. The output matrix meets the passage's tokens only.
    """
    pressed = body(encoder, _read(architecture, length, slots), rows, architecture.encoder_training, architecture.lora)
    return (
        pressed
        + connector(architecture, encoder, decoder, slots, rows)
        + _written(architecture, decoder, vocabulary, length, slots, rows)
    )


def _read(architecture: Architecture, length: int, slots: int) -> int:
    return 1 + length + (0 if architecture.readout == "mean_pool" else slots)


def _written(architecture: Architecture, decoder: Shape, vocabulary: int, length: int, slots: int, rows: int) -> int:
    head = TRAINED if architecture.decoder_training == "full" else FROZEN
    scored = body(decoder, slots + 2 + length - 1, rows, architecture.decoder_training, architecture.lora)
    return scored + products([(decoder.width, vocabulary)], rows * length, head)


def debiasing_step(
    architecture: Architecture, encoder: Shape, decoder: Shape, vocabulary: int, length: int, slots: int, rows: int
) -> int:
    """One step of debiasing: as of autoencoding, but that the decoder is scored on two texts of each row."""
    one = compressor_step(architecture, encoder, decoder, vocabulary, length, slots, rows)
    return one + _written(architecture, decoder, vocabulary, length, slots, rows)


def scoring(
    architecture: Architecture,
    encoder: Shape,
    decoder: Shape,
    vocabulary: int,
    length: int,
    slots: int,
    rows: int,
    texts: int,
) -> int:
    """Forward alone: ``rows`` are pressed once, and the decoder is scored on ``texts`` texts of each."""
    return (
        body(encoder, _read(architecture, length, slots), rows, "read")
        + connector(architecture, encoder, decoder, slots, rows, READ)
        + body(decoder, slots + 2 + length - 1, texts * rows, "read")
        + products([(decoder.width, vocabulary)], texts * rows * length, READ)
    )


def debiasing(
    architecture: Architecture, encoder: Shape, decoder: Shape, vocabulary: int, window: int, spec: Debias
) -> int:
    """All of it: what the decoder writes of the passages, the reference, the steps.

    Writing is counted as plain decoding and the pass before it, which it never exceeds (see reconstruction/greedy.py);
    so the passages are pressed twice and four texts of each are read.
    """
    sizes = (architecture, encoder, decoder, vocabulary, window, window // architecture.ratio)
    before = 2 * scoring(*sizes, spec.passages, 2)
    return before + spec.schedule.steps * debiasing_step(*sizes, spec.schedule.batch)


@lru_cache(maxsize=4096)
def compressor_training(
    architecture: Architecture,
    encoder: Shape,
    decoder: Shape,
    vocabulary: int,
    window: int,
    curriculum: Curriculum,
    batch: int,
    steps: int,
) -> int:
    """A whole training by autoencoding, with the short passages and small groups of its ``curriculum``."""
    total = 0
    for step in range(steps):
        done = step / steps
        length = curriculum.length(done, window, architecture.ratio)
        slots = length // curriculum.group(done, window, architecture.ratio)
        total += compressor_step(architecture, encoder, decoder, vocabulary, length, slots, batch)
    return total


def language_model_step(shape: Shape, vocabulary: int, length: int, rows: int) -> int:
    """One step of next-token prediction on ``rows`` of <bos> and ``length`` tokens, all of them predicted.

    Rows that show a text before they restate it cost a little less: what is shown is not predicted.
    """
    return body(shape, 1 + length, rows, "full") + products([(shape.width, vocabulary)], rows * length, TRAINED)
