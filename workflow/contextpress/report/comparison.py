"""Two studies side by side: what was asked differently, and how far apart the answers are.

A difference is B less A, with a 95 % interval. That of a claim's effects comes from the findings alone: each interval
is turned back into a standard error by the degrees of freedom that the finding gives, and the squares are added, as
for independent studies. That of a mean quality comes from the observations: documents are drawn (``bootstrap.py``), one
that both studies have for both at once, and what training runs add is added for both (``inference.py``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy import special

from contextpress.analysis.bootstrap import document_weights
from contextpress.analysis.gap import cell_means
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, Scatter, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import COMPRESSOR, GAPS, Array, Panel, build_panel

MEASURES = ("accuracy", "token_f1")
# Of the observations: what a panel is built of.
COLUMNS = [
    *("passage_id", "document_id", "domain", "source", "variant", "memory_used", "entropy_rate"),
    *("tokens", "bytes", "unigram_entropy", "zlib_bits_per_byte", "encoder_replaced", "decoder_replaced"),
    *COMPRESSOR,
    *GAPS,
    *MEASURES,
]
DRAWS, SEED = 2000, 0
SETTING, PAIR = ["readout", "ratio"], ["encoder", "decoder"]
NORMAL = 1e9  # degrees of freedom of an interval whose finding does not give any


class _Error(BaseModel):
    degrees_of_freedom: float | None = None


class _Details(BaseModel):
    error: _Error = _Error()


class Finding(BaseModel):
    """What a comparison reads of a finding; a claim has a verdict, other questions have an answer."""

    claim: str = ""
    question: str = ""
    statement: str = ""
    verdict: str = ""
    answer: str = ""
    effect_name: str = ""
    effect: float | None = None
    ci95: tuple[float | None, float | None] = (None, None)
    details: _Details = _Details()

    def measured(self) -> Effect:
        """The effect, with the standard error that its interval tells of."""
        low, high = self.ci95
        if self.effect is None or low is None or high is None:
            return Effect(math.nan if self.effect is None else self.effect, math.nan, 0.0)
        freedom = self.details.error.degrees_of_freedom or NORMAL
        return Effect(self.effect, (high - low) / 2 / float(special.stdtrit(freedom, 0.975)), freedom)


@dataclass(frozen=True)
class Difference:
    """One quantity in both studies.

    Attributes:
        one: in study A; NaN where it has none.
        two: in study B.
        difference: B less A; unknown where that would mean nothing.
    """

    one: Effect
    two: Effect
    difference: Effect


@dataclass(frozen=True)
class Qualities:
    """Mean qualities in both studies, domains weighted equally.

    Attributes:
        domains: whose passages are compared: those of both studies.
        documents: of these domains, in A, in B, and in both.
        settings: by measure, read-out and ratio.
        pairs: by measure, encoder and decoder; over the settings that both studies have.
    """

    domains: list[str]
    documents: tuple[int, int, int]
    settings: dict[tuple[str, ...], Difference]
    pairs: dict[tuple[str, ...], Difference]


def changed_keys(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Config keys whose values differ, as JSON in A and in B; empty where a study has no such key, or it is empty."""
    first, second = dict(_leaves(one)), dict(_leaves(two))
    names = dict.fromkeys([*first, *second])
    return {name: (first.get(name, ""), second.get(name, "")) for name in names if first.get(name) != second.get(name)}


def _leaves(value: object, path: str = "") -> Sequence[tuple[str, str]]:
    if isinstance(value, list) and value and all(isinstance(part, dict) and "name" in part for part in value):
        value = {str(part["name"]): part for part in value}
    if isinstance(value, dict) and (value or not path):
        return [leaf for key, part in value.items() for leaf in _leaves(part, f"{path}.{key}" if path else str(key))]
    return [] if value is None else [(path, json.dumps(value, ensure_ascii=False))]


def compare_findings(one: Finding, two: Finding) -> Difference:
    """The effects of a claim in two independent studies; without a difference where they are not of the same thing."""
    first, second = one.measured(), two.measured()
    if one.effect_name != two.effect_name or not (first.known and second.known):
        return Difference(first, second, UNKNOWN)
    squares = first.error**2, second.error**2
    total = sum(squares)
    # Welch (1947, Biometrika 34).
    parts = squares[0] ** 2 / first.freedom + squares[1] ** 2 / second.freedom
    freedom = total**2 / parts if parts else NORMAL
    return Difference(first, second, Effect(second.value - first.value, math.sqrt(total), freedom))


def compare_qualities(one: pd.DataFrame, two: pd.DataFrame) -> Qualities:
    """Mean qualities of undisturbed passages, from ``COLUMNS`` of OBSERVATIONS of both studies.

    Compressors that do not use their memory count too.
    """
    domains = sorted(set(one["domain"]) & set(two["domain"]))
    panels = [_panel(rows, domains) for rows in (one, two)]
    documents = [_documents(panel) for panel in panels]
    known = [set(part) for part in documents]
    both = sorted(known[0] | known[1])
    counts = (len(known[0]), len(known[1]), len(known[0] & known[1]))
    if not all(known):
        return Qualities(domains, counts, {}, {})
    weights = _weights(both)
    place = {name: number for number, name in enumerate(both)}
    drawn = [weights[[place[name] for name in part]] for part in documents]
    freedoms = [float(len(names) - len(domains)) for names in (*known, both)]
    found: tuple[dict[tuple[str, ...], Difference], ...] = ({}, {})
    first, second = (panel.compressors[SETTING].drop_duplicates() for panel in panels)
    shared = first.merge(second)
    for measure in MEASURES:
        means = [
            cell_means(panel, draws, panel.values(measure)).mean(0) for panel, draws in zip(panels, drawn, strict=True)
        ]
        for table, keys in zip(found, (SETTING, PAIR), strict=True):
            groups = [_groups(panel, keys, shared if keys is PAIR else None) for panel in panels]
            for key in sorted(groups[0].keys() | groups[1].keys()):
                parts = [
                    _part(values, panel, group.get(key))
                    for values, panel, group in zip(means, panels, groups, strict=True)
                ]
                table[measure, *map(str, key)] = _difference(parts, freedoms)
    return Qualities(domains, counts, *found)


def _panel(rows: pd.DataFrame, domains: Sequence[str]) -> Panel:
    return build_panel(rows[rows["domain"].isin(domains)], ClaimsSpec(natural_only=False), unused=True)


def _documents(panel: Panel) -> list[tuple[str, str, str]]:
    """[P] what tells documents apart, also of two studies: a number alone is another document in another corpus."""
    return list(panel.passages[["domain", "document_id", "source"]].itertuples(index=False, name=None))


def _weights(documents: Sequence[tuple[str, str, str]]) -> Array:
    """[N, 1 + B] weights of the documents of both studies, sorted, of which the first part is the domain."""
    domains = [domain for domain, *_ in documents]
    ends = np.cumsum([domains.count(name) for name in dict.fromkeys(domains)])
    slices = [slice(int(start), int(end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return document_weights(np.arange(len(documents)), slices, DRAWS, np.random.default_rng(SEED))


def _groups(panel: Panel, keys: list[str], settings: pd.DataFrame | None) -> dict[tuple[Any, ...], Any]:
    """Places of the compressors of each group, of some settings or of all."""
    chosen = panel.compressors.reset_index()
    if settings is not None:
        chosen = chosen.merge(settings)
    return {tuple(key): rows["index"].to_numpy() for key, rows in chosen.groupby(keys, sort=True)}


# A mean over compressors [1 + B], and the scatter of their training runs.
_Part = tuple[Array, Scatter | None]


def _part(values: Array, panel: Panel, members: Any) -> _Part | None:  # noqa: ANN401 - places, or None
    if members is None:
        return None
    return mean_over(values[members]), scatter_of_runs(values[members], panel.compressors.iloc[members])


def _difference(parts: Sequence[_Part | None], freedoms: Sequence[float]) -> Difference:
    one, two = parts
    first, second = (
        combine(*part, freedom) if part else UNKNOWN for part, freedom in zip(parts, freedoms[:2], strict=True)
    )
    if one is None or two is None:
        return Difference(first, second, UNKNOWN)
    return Difference(first, second, combine(two[0] - one[0], _sum(one[1], two[1]), freedoms[2]))


def _sum(one: Scatter | None, two: Scatter | None) -> Scatter | None:
    """The scatter of a difference of independent runs; a study of one seed says nothing of its own."""
    known = [part for part in (one, two) if part is not None]
    if not known:
        return None
    total = sum(part.total for part in known)
    parts = sum(part.total**2 / part.freedom for part in known)
    return Scatter(total, sum(part.documents for part in known), total**2 / parts if parts else known[0].freedom)
