"""The specification table: each claim's effect under every defensible choice, and not only the declared one.

After Simonsohn, Simmons and Nelson (2020, Nature Human Behaviour 4): an effect that depends on which measure of
quality, which measure of entropy, which read-out or which ratio was picked is no finding. The declared choice is
marked; it alone decides the verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.decoder_entropy import controls_of
from contextpress.analysis.findings import clusters, document_freedom, over_runs
from contextpress.analysis.gap import cell_means, gap_slope
from contextpress.analysis.hypotheses import COUPLED, Training
from contextpress.analysis.inference import UNKNOWN, Effect
from contextpress.analysis.panel import GAPS, SETTING, Array, Panel, build_panel
from contextpress.analysis.ranked import Question, correlate
from contextpress.analysis.spec import SpecificationSpec
from contextpress.analysis.swap import decoder_swap

TABLE = [
    "claim",
    "measure",
    "predictor",
    "scope",
    "readout",
    "ratio",
    "effect",
    "ci95_low",
    "ci95_high",
    "p_value",
    "n",
    "clusters",
    "compressors",
    "declared",
    "made_of_decoder_entropy",
]
Row = tuple[str, str, str, list[int], Effect]  # measure, predictor, scope, compressors, effect


def specification(observations: pd.DataFrame, spec: SpecificationSpec) -> pd.DataFrame:
    """One row per claim, measure, predictor, scope, read-out and ratio, and over all settings ("all").

    C1: Spearman correlation, scope ``within`` domain or ``pooled``. C2: ``partial`` correlation given the controls, or
    of the decoder ``swap``. C3: slope on the ``grid``, effects removed, for each measure of the gap (per sixth of
    replaced data, or per nat of divergence). Intervals hold documents and training runs; an estimate is empty where
    the measure does not vary. ``declared`` marks the choice that the verdict stands on.
    """
    claims = spec.claims.model_copy(update={"draws": spec.draws})
    spec = spec.model_copy(update={"claims": claims})
    panels: dict[Training, Panel] = {}
    rows: list[list[object]] = []
    for claim, hypothesis, estimate in (
        ("C1", claims.c1, _encoder),
        ("C2", claims.c2, _decoder),
        ("C3", claims.c3, _gap),
    ):
        training = hypothesis.decoder_training
        if training not in panels:
            panels[training] = build_panel(observations, claims, training)
        panel = panels[training]
        if panel.compressors.empty:
            continue
        declared = (hypothesis.measure, *_declared(claim, spec))
        for measure, predictor, scope, members, effect in estimate(panel, weights_of(panel, claims), spec):
            chosen = panel.compressors.iloc[members]
            whole = len(members) == len(panel.compressors)
            setting = [_only(chosen[name]) for name in SETTING[:2]]
            rows.append(
                [
                    *(claim, measure, predictor, scope, *(["all", "all"] if whole else setting)),
                    *(effect.value, *effect.interval(), effect.p_two_sided()),
                    *(len(panel.passages) * len(members), clusters(panel), len(members)),
                    whole and (measure, predictor, scope) == declared,
                    measure in COUPLED,
                ]
            )
    return pd.DataFrame(rows, columns=TABLE)


def _declared(claim: str, spec: SpecificationSpec) -> tuple[str, str]:
    primary = {
        "C1": (spec.claims.c1.predictor, "within"),
        "C2": (spec.claims.c2.predictor, "partial"),
        "C3": (GAPS[0], "grid"),
    }
    return primary[claim]


def _encoder(panel: Panel, weights: Array, spec: SpecificationSpec) -> Iterator[Row]:
    settings = _settings(panel)
    qualities = {measure: panel.quality(measure) for measure in _measures(spec, spec.claims.c1.measure)}
    choices = list(itertools.product(qualities, spec.encoder_entropies))
    predictors = {name: panel.values(name) for name in spec.encoder_entropies}
    questions = [Question(predictors[name], qualities[measure], pooled=True) for measure, name in choices]
    for (measure, predictor), ranked in zip(choices, correlate(panel, weights, questions), strict=True):
        for scope, values in (("within", ranked.within), ("pooled", ranked.pooled)):
            for members, part in settings:
                yield measure, predictor, scope, members, over_runs(part, values[members])


def _decoder(panel: Panel, weights: Array, spec: SpecificationSpec) -> Iterator[Row]:
    settings, controls = _settings(panel), controls_of(panel, spec.claims)
    measures = [measure for measure in _measures(spec, spec.claims.c2.measure) if measure not in COUPLED]
    qualities = {measure: panel.quality(measure) for measure in measures}
    choices = list(itertools.product(qualities, spec.decoder_entropies))
    predictors = {name: panel.values(name) for name in spec.decoder_entropies}
    questions = [Question(predictors[name], qualities[measure], controls) for measure, name in choices]
    for (measure, predictor), ranked in zip(choices, correlate(panel, weights, questions), strict=True):
        swap = decoder_swap(panel, weights, predictors[predictor], qualities[measure], per_domain=True)
        values = ranked.partial if controls else ranked.within
        for members, part in settings:
            yield measure, predictor, "partial", members, over_runs(part, values[members])
            own = None if swap is None else swap.only(members)
            effect = UNKNOWN if own is None else own.effect(own.correlation, document_freedom(panel))
            yield measure, predictor, "swap", members, effect


def _gap(panel: Panel, weights: Array, spec: SpecificationSpec) -> Iterator[Row]:
    settings = _settings(panel)
    for measure in _measures(spec, spec.claims.c3.measure):
        every = cell_means(panel, weights, panel.quality(measure)).mean(0)
        # The last measure of the gap, a difference of entropies, is a sum of effects: no grid tells its slope.
        for column, (members, part) in itertools.product(GAPS[:-1], settings):
            if part.compressors[column].notna().all():
                yield measure, column, "grid", members, gap_slope(part, column, every[members], spec.claims)


def _measures(spec: SpecificationSpec, declared: str) -> list[str]:
    return list(dict.fromkeys([declared, *spec.measures]))


def _settings(panel: Panel) -> list[tuple[list[int], Panel]]:
    """All compressors, then those of each read-out and ratio if there are several; and the panel of them alone."""
    everyone = np.arange(len(panel.compressors))
    parts = [list(rows.index) for _, rows in panel.compressors.groupby(SETTING[:2], sort=True)]
    some = [(members, panel.only(np.isin(everyone, members))) for members in parts] if len(parts) > 1 else []
    return [(list(everyone), panel), *some]


def _only(column: pd.Series) -> object:
    return column.iloc[0] if len(set(column)) == 1 else "all"
