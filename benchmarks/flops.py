"""Floating-point operations of a training step, counted by hand: two for each multiplication and addition.

Matrix products alone, as Chowdhery et al. (PaLM, arXiv 2204.02311, appendix B) count them: attention over all pairs
of positions, no norms, no softmax, no embedding look-ups. A product costs once in the forward pass and once for each
of its two factors that wants a gradient.
"""

from __future__ import annotations

from benchmarks.shapes import Shape

FORWARD, INPUT, WEIGHT = 1, 1, 1  # the three products of one layer with weights
ITERATIONS = 5  # of Newton and Schulz in torch.optim.Muon


def layers(shape: Shape, positions: int, rows: int, passes: int) -> int:
    """Of all transformer blocks on ``rows`` of ``positions`` each.

    ``passes``: products per matrix of weights: 3 where it learns, 2 where it is frozen and only hands gradients on.
    Attention's products always cost three times: both of its factors hang on the input.
    """
    matrices = sum(m * n for m, n in block_matrices(shape))
    weights = 2 * rows * positions * matrices * passes
    attention = 2 * 2 * rows * positions**2 * shape.heads * shape.head_width * 3
    return shape.layers * (weights + attention)


def head(shape: Shape, positions: int, rows: int, passes: int) -> int:
    """Of the output matrix."""
    return 2 * rows * positions * shape.width * shape.vocabulary * passes


def compressor_step(shape: Shape) -> int:
    """Of one step with read-out mean_pool, connector mlp, trained encoder, frozen decoder; only labelled logits."""
    slots = shape.window // shape.ratio
    encoder = layers(shape, 1 + shape.window, shape.batch, FORWARD + INPUT + WEIGHT)
    connector = 2 * shape.batch * slots * sum(m * n for m, n in connector_matrices(shape)) * (FORWARD + INPUT + WEIGHT)
    decoder = layers(shape, slots + 2 + shape.window - 1, shape.batch, FORWARD + INPUT)
    return encoder + connector + decoder + head(shape, shape.window, shape.batch, FORWARD + INPUT)


def muon_step(matrices: list[tuple[int, int]]) -> int:
    """Of Muon's orthogonalisation: for each matrix X [m, n], m <= n, A = X X', B = b A + c A A, X = a X + B X."""
    total = 0
    for first, second in matrices:
        m, n = sorted((first, second))
        total += ITERATIONS * (2 * m * m * n + 2 * m**3 + 2 * m * m * n)
    return total


def learning_matrices(shape: Shape) -> list[tuple[int, int]]:
    """All matrices that Muon moves in a compressor: the encoder's and the connector's."""
    return block_matrices(shape) * shape.layers + connector_matrices(shape)


def block_matrices(shape: Shape) -> list[tuple[int, int]]:
    """Of one transformer block: queries, keys, values, output; gate, up, down."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    attention = [(queries, shape.width), (keys, shape.width), (keys, shape.width), (shape.width, queries)]
    return attention + [(shape.intermediate, shape.width)] * 3


def connector_matrices(shape: Shape) -> list[tuple[int, int]]:
    """Of connector mlp."""
    return [(2 * shape.width, shape.width)] * 2
