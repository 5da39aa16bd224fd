"""The encoder x decoder grid: contrasts that take the gap's effect out of cell means, and the error they carry.

One row of pairs confounds the gap with how good a decoder is on the test text. On a grid the gap is the interaction:
quality = encoder effect + decoder effect + slope x gap + error, with effects of their own in every setting and seed,
because the models of two seeds are different models. The slope is then a fixed linear contrast of cell means:
residuals of the gap on the effects, over their sum of squares (Frisch and Waugh 1933).

A signed gap, replaced(E) - replaced(D), is a sum of an encoder and a decoder effect: no grid can tell whether the gap
hurts more in one direction than in the other. Only |gap| is identified.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from contextpress.analysis.inference import Scatter
from contextpress.analysis.panel import SETTING, Array, Codes

_TINY = 1e-9


def effects_of(labels: pd.Series) -> Array:
    """Dummies [n, levels] of a column of labels."""
    names, codes = np.unique(labels.astype(str).to_numpy(), return_inverse=True)
    return np.eye(len(names))[codes]


def residuals(values: Array, design: Array) -> Array:
    """What is left of ``values`` [n] or [n, k] after least squares on ``design`` [n, m], of any rank."""
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    left[np.abs(left) < _TINY * max(1.0, float(np.abs(values).max(initial=0.0)))] = 0.0
    return left


@dataclass(frozen=True)
class Grid:
    """Cells (compressors) with a gap, and the effects that are held constant.

    Attributes:
        cells: C rows with encoder, decoder, the setting and seed.
        gap: [C], in sixths of replaced data, or in nats of divergence.
        effects: [C, m] dummies of encoder and decoder in every setting and seed.
        setting: [C] number of the setting (read-out, ratio, decoder training).
        seed: [C].
    """

    cells: pd.DataFrame
    gap: Array
    effects: Array
    setting: Codes
    seed: Codes

    @classmethod
    def of(cls, cells: pd.DataFrame, gap: Array) -> Grid:
        """Grid of some cells with a gap each."""
        setting = cells.groupby(SETTING, sort=True).ngroup().to_numpy().astype(np.int64)
        block = pd.Series(setting, dtype=str) + "/" + cells["seed"].astype(str).reset_index(drop=True)
        sides = [effects_of(block + "/" + cells[side].reset_index(drop=True)) for side in ("encoder", "decoder")]
        return cls(cells, gap, np.hstack(sides), setting, cells["seed"].to_numpy().astype(np.int64))

    def own_gap(self) -> Array:
        """[C] the gap beyond encoder and decoder effects; all zero if the grid cannot tell them apart."""
        return residuals(self.gap, self.effects) if len(self.gap) else self.gap

    def slope(self) -> Array | None:
        """[C] contrast whose product with cell means is the slope; None if it is not identified."""
        own = self.own_gap()
        square = float(own @ own)
        return own / square if square > _TINY else None

    def seed_slopes(self) -> dict[int, Array]:
        """The contrast of each seed alone, for the seeds in which it is identified."""
        own, found = self.own_gap(), {}
        for seed in np.unique(self.seed):
            part = np.where(self.seed == seed, own, 0.0)
            if float(part @ part) > _TINY:
                found[int(seed)] = part / float(part @ part)
        return found

    def levels(self) -> tuple[Array, Array] | None:
        """Contrasts of each gap level with the lowest one, beyond encoder and decoder effects.

        Returns:
            The levels [L] and the contrasts [L, C] (the first all zero); None if some level is not identified.
        """
        names, codes = np.unique(np.round(self.gap, 6), return_inverse=True)
        if len(names) < 2:
            return None
        own = residuals(np.eye(len(names))[codes][:, 1:], self.effects)
        if np.linalg.matrix_rank(own, tol=1e-6) < len(names) - 1:
            return None
        return names, np.vstack([np.zeros(len(self.gap)), np.linalg.pinv(own)])

    def freedom(self, setting: int, *, slopes: int) -> int:
        """Cells of a setting less its effects and ``slopes``."""
        member = self.setting == setting
        return int(member.sum() - np.linalg.matrix_rank(self.effects[member]) - slopes)


@dataclass(frozen=True)
class TrainingNoise:
    """The noise of training: how cells scatter around effects and slope.

    Attributes:
        covariance: [settings, settings, 1 + B] of the cells of a trained pair; on the data, then on the draws of
            documents, where it is that of the changes from the data: what documents alone make of it.
        unit: [C] number of the trained pair (encoder, decoder, seed) of a cell.
        setting: [C] number of the setting.
        freedom: degrees of freedom, the fewest of any setting; 0 if the scatter cannot be known.
        factor: what variances are multiplied by where seeds differ more than their cells explain.
        by: "cell" or "seed", the unit that the degrees of freedom count.
        p_seeds: p-value of equal slopes in all seeds; NaN if it cannot be tested.
    """

    covariance: Array
    unit: Codes
    setting: Codes
    freedom: float
    factor: float = 1.0
    by: str = "cell"
    p_seeds: float = math.nan

    def scatter(self, contrast: Array) -> Scatter | None:
        """Variance of a contrast [C] of cell means; None if it cannot be known."""
        if not self.freedom:
            return None
        placed = np.zeros((self.unit.max() + 1, len(self.covariance)))
        placed[self.unit, self.setting] = contrast
        total = np.einsum("ab,abs->s", placed.T @ placed, self.covariance)
        return Scatter(self.factor * float(total[0]), float(total[1:].mean()) if len(total) > 1 else 0.0, self.freedom)


def cell_noise(grid: Grid, means: Array, columns: Array) -> TrainingNoise:
    """The noise of training where cells are independent given encoder, decoder and seed.

    Within a setting the residuals from effects and ``columns`` [C, k] (the gap, or its levels) give the variance of a
    cell; cells of one trained pair in two settings share their language models, so their covariance is estimated too.

    Args:
        grid: the cells.
        means: [C, 1 + B] cell means.
        columns: what is estimated beside the effects; with coefficients of its own in each setting.
    """
    unit = grid.cells.groupby(["encoder", "decoder", "seed"], sort=True).ngroup().to_numpy().astype(np.int64)
    count = int(grid.setting.max()) + 1 if len(grid.setting) else 0
    own = residuals(columns, grid.effects) if count else columns
    freedoms, told = np.ones(count), []
    for setting in range(count):
        member = grid.setting == setting
        if float(np.square(own[member]).sum()) > _TINY:
            told.append(setting)
            freedoms[setting] = grid.freedom(setting, slopes=int(np.linalg.matrix_rank(own[member], tol=1e-6)))
    if not told or freedoms.min() <= 0:
        return TrainingNoise(np.zeros((count, count, 1)), unit, grid.setting, 0.0)
    apart = [np.where((grid.setting == setting)[:, None], columns, 0.0) for setting in told]
    change = np.column_stack([means[:, 0], means[:, 1:] - means[:, :1]])
    left = np.zeros((unit.max() + 1, count, means.shape[1]))
    left[unit, grid.setting] = residuals(change, np.hstack([grid.effects, *apart]))
    covariance = np.einsum("uas,ubs->abs", left, left) / np.sqrt(np.outer(freedoms, freedoms))[:, :, None]
    return TrainingNoise(covariance, unit, grid.setting, float(freedoms[told].min()))


def training_noise(grid: Grid, means: Array, pooling_alpha: float) -> TrainingNoise:
    """Estimate the noise of training of the slope from cell means [C, 1 + B].

    Cells are the unit (see ``cell_noise``) unless the slopes of the seeds differ with a p-value below
    ``pooling_alpha`` (F test): then the seed is, with seeds - 1 degrees of freedom. With two or three seeds that is a
    wide interval, and an honest one.
    """
    own, seeds = grid.own_gap(), grid.seed_slopes()
    pooled = cell_noise(grid, means, grid.gap[:, None])
    square = float(own @ own)
    by_cell = pooled.scatter(own / square) if square > _TINY else None
    if by_cell is None or len(seeds) < 2:
        return pooled
    values = np.array([contrast @ means[:, 0] for contrast in seeds.values()])
    weights = np.array([1 / float(contrast @ contrast) for contrast in seeds.values()])
    shares, more = weights / weights.sum(), len(seeds) - 1
    between = float(shares @ (values - shares @ values) ** 2) / more
    p_value, rest = math.nan, pooled.freedom - more
    inside = (pooled.freedom * by_cell.total - more * between) / rest if rest > 0 else 0.0
    if inside > 0:
        p_value = float(stats.f.sf(between / inside, more, rest))
    if p_value >= pooling_alpha:
        return replace(pooled, p_seeds=p_value)
    by_seed = float(values.var(ddof=1) / len(values))
    factor = max(1.0, by_seed / by_cell.total) if by_cell.total > 0 else 1.0
    return replace(pooled, freedom=float(more), factor=factor, by="seed", p_seeds=p_value)


def decompose(means: pd.Series) -> pd.DataFrame:
    """Two-way decomposition of cell means into grand mean, encoder and decoder effects and interaction.

    Least squares with effects that sum to zero (Searle 1971, ch. 7): on a complete grid row means, column means and
    what remains; on an incomplete one the fit to the cells there are.

    Args:
        means: one value per (encoder, decoder), in that index.

    Returns:
        One row per cell: grand_mean, encoder_effect, decoder_effect, interaction; they add up to the value.
    """
    encoders, decoders = (means.index.get_level_values(level) for level in (0, 1))
    one, two = _sum_to_zero(encoders), _sum_to_zero(decoders)
    design = np.hstack([np.ones((len(means), 1)), one, two])
    fitted = np.linalg.lstsq(design, means.to_numpy(), rcond=None)[0]
    split = 1 + one.shape[1]
    parts = {
        "grand_mean": np.full(len(means), fitted[0]),
        "encoder_effect": one @ fitted[1:split],
        "decoder_effect": two @ fitted[split:],
        "interaction": means.to_numpy() - design @ fitted,
    }
    return pd.DataFrame(parts, index=means.index)


def _sum_to_zero(labels: pd.Index) -> Array:
    dummies = effects_of(pd.Series(labels))
    return dummies[:, :-1] - dummies[:, -1:]
