"""Mixed models of the grid, as second estimates of the gap's slope.

One is of cell means, where the trained models and pairs are random; the other of passages, where the passages are, and
the trained models are fixed. Every passage meets every compressor, so that one model of both would give the slope of
the first, and statsmodels has no crossed effects of that size.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from contextpress.analysis.grid import Grid
from contextpress.analysis.panel import SETTING, Array, Panel


def mixed_model(compressors: pd.DataFrame, gap: Array, means: Array) -> dict[str, object]:
    """Fit quality ~ gap + encoder + decoder + setting, with random effects of each trained model and pair.

    Encoder and decoder names and settings are fixed; the language models of each seed, and the pair of two of them,
    are crossed random effects (Baayen, Davidson and Bates 2008), by restricted maximum likelihood.

    Args:
        compressors: C rows.
        gap: [C].
        means: [C] mean quality of each compressor.

    Returns:
        slope, its standard error, 95 % interval (normal) and p-value; or the reason why there is none.
    """
    frame = compressors[["encoder", "decoder", "seed"]].astype(str)
    frame = frame.assign(
        quality=means,
        gap=gap,
        setting=compressors[SETTING].astype(str).agg("/".join, axis=1),
        encoder_model=frame["encoder"] + "/" + frame["seed"],
        decoder_model=frame["decoder"] + "/" + frame["seed"],
    )
    frame["pair"] = frame["encoder_model"] + "/" + frame["decoder_model"]
    terms = ["gap", *(f"C({name})" for name in ("encoder", "decoder", "setting", "seed") if len(set(frame[name])) > 1)]
    components = {name: f"0 + C({name})" for name in ("encoder_model", "decoder_model")}
    if frame["pair"].duplicated().any():
        components["pair"] = "0 + C(pair)"
    if len(set(frame["seed"])) < 2 or np.ptp(gap) == 0:
        return {"slope": None, "reason": "one seed or one gap"}
    # Slow to import, and needed by this one estimate.
    import statsmodels.formula.api as formulas

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = formulas.mixedlm(
                f"quality ~ {' + '.join(terms)}", frame, groups=np.ones(len(frame)), vc_formula=components
            )
            if np.linalg.matrix_rank(model.exog) < model.exog.shape[1]:
                return {"slope": None, "reason": "the gap cannot be told from encoder and decoder effects"}
            fit = model.fit(reml=True)
        low, high = fit.conf_int().loc["gap"]
        numbers = {
            "slope": fit.params["gap"],
            "standard_error": fit.bse["gap"],
            "ci95": [low, high],
            "p_value": fit.pvalues["gap"],
        }
    except (np.linalg.LinAlgError, ValueError, ZeroDivisionError) as error:
        return {"slope": None, "reason": f"no fit: {error}"}
    return {**numbers, "converged": bool(fit.converged)}


def passage_model(panel: Panel, gap: Array, quality: Array) -> dict[str, object]:
    """Fit quality ~ gap + effects of every trained encoder and decoder, with a random intercept of each passage.

    The effects are those of the grid: of encoder and decoder in every seed, which holds the seed's own level. Settings
    are averaged. The interval is of passages: the models that were trained are taken as they are, so it is no test of
    the claim.

    Args:
        panel: P passages, C compressors.
        gap: [C].
        quality: [P, C].

    Returns:
        slope, its standard error, 95 % interval (normal), p-value, share of the variance between passages; or the
        reason why there is none.
    """
    named = panel.compressors.assign(gap=gap, place=np.arange(len(gap)))
    groups = named.groupby(["encoder", "decoder", "seed"], sort=True)
    cells = groups.agg(gap=("gap", "mean")).reset_index()
    cells = cells.assign(**dict.fromkeys(SETTING, "all"))
    values = np.column_stack([quality[:, rows["place"].to_numpy()].mean(1) for _, rows in groups])
    grid = Grid.of(cells, cells["gap"].to_numpy())
    own = grid.own_gap()
    if grid.slope() is None:
        return {"slope": None, "reason": "the gap cannot be told from encoder and decoder effects"}
    if np.ptp(values) == 0:
        return {"slope": None, "reason": "quality does not vary"}
    left, sizes, _ = np.linalg.svd(grid.effects, full_matrices=False)
    design = np.column_stack([own, left[:, sizes > 1e-9 * sizes[0]]])
    # Slow to import, and needed by these two estimates.
    from statsmodels.regression.mixed_linear_model import MixedLM

    passages = np.repeat(np.arange(len(values)), values.shape[1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = MixedLM(values.ravel(), np.tile(design, (len(values), 1)), groups=passages).fit(reml=True)
        low, high = fit.conf_int()[0]
    except (np.linalg.LinAlgError, ValueError, ZeroDivisionError) as error:
        return {"slope": None, "reason": f"no fit: {error}"}
    between = float(np.asarray(fit.cov_re)[0, 0])
    return {
        "slope": fit.params[0],
        "standard_error": fit.bse[0],
        "ci95": [low, high],
        "p_value": fit.pvalues[0],
        "share_of_variance_between_passages": between / (between + float(fit.scale)),
        "converged": bool(fit.converged),
    }
