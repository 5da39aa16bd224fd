"""A mixed model of the grid, as a second estimate of the gap's slope."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from contextpress.analysis.panel import SETTING, Array


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
