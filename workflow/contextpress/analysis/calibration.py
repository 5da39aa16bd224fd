"""Are the verdicts right as often as they say? Simulated studies with known truth, through the code of the claims.

Each kind of study is drawn many times. A test is calibrated if it rejects a true null hypothesis in 5 % of studies at
a level of 5 %, and if its 95 % interval covers a planted effect in at least 93 %. The null hypotheses are those that
the verdicts stand on: no effect, for C1 and C3 (kind ``none``); a partial correlation as large as the bound, for C2,
whose verdict stands on equivalence (kind ``bound``); and no effect again for a verdict against C2. The naive analysis
of the same studies is reported in the same table.

C2's support needs two tests, of the partial correlation and of the swap design, and only the first one's null
hypothesis is true in kind ``bound``. Such a test reaches its level where the second is sure to reject, and stays below
it elsewhere (Berger 1982, Technometrics 24). Of 4,000 studies with 60 documents per domain, the partial correlation
alone rejected 4.6 %, the swap design 98.6 %, both 4.55 %.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import finite
from contextpress.analysis.naive import naive
from contextpress.analysis.panel import build_panel
from contextpress.analysis.simulate import PLANTED, Study, simulate
from contextpress.analysis.spec import ALLOWED, COVERED, KINDS, LEVEL, Calibration, CalibrationChunk
from contextpress.analysis.truth import at_the_bound, truth
from contextpress.analysis.verdicts import decide, findings
from contextpress.runtime.tables import required

OUTCOMES = pa.schema(
    [
        required("kind", pa.string()),
        required("study", pa.int32()),
        required("claim", pa.string()),
        required("analysis", pa.string()),  # clustered: that of the claims; naive: rows as independent
        required("truth", pa.float64()),
        required("effect", pa.float64()),
        required("ci95_low", pa.float64()),
        required("ci95_high", pa.float64()),
        required("p_difference", pa.float64()),  # two-sided, of no effect
        required("p_equivalence", pa.float64()),  # of an effect as large as the bound
        required("verdict", pa.string()),  # after correction for the family; empty for the naive analysis
    ]
)
TABLE = [
    "analysis",
    "quantity",
    "claim",
    "verdict",
    "kind",
    "share",
    "ci95_low",
    "ci95_high",
    "studies",
    "target",
]
# Each test: claim, verdict it stands behind, kind of study in which its null hypothesis is true, column of its p-value.
TESTS = (
    ("C1", "supported", "none", "p_difference"),
    ("C2", "supported", "bound", "p_equivalence"),
    ("C2", "contradicted", "none", "p_difference"),
    ("C3", "supported", "none", "p_difference"),
)
# Kinds of study that plant an effect of each claim.
COVERAGE = {"C1": ("encoder", "decoder", "both"), "C2": ("decoder", "both", "bound"), "C3": ("gap",)}


def draw(chunk: CalibrationChunk) -> pd.DataFrame:
    """The outcomes of some studies of one kind, schema OUTCOMES."""
    study = study_of(chunk)
    true = truth(study)
    rows: list[dict[str, Any]] = []
    for number in range(chunk.first, chunk.first + chunk.count):
        # Seeds that do not depend on how the studies are cut into chunks.
        seeds = np.random.SeedSequence([chunk.seed, KINDS.index(chunk.kind), number]).generate_state(2)
        spec = chunk.claims.model_copy(update={"seed": int(seeds[1])})
        panel = build_panel(simulate(replace(study, seed=int(seeds[0]))), spec, "frozen")
        results = decide(panel, weights_of(panel, spec), spec)
        verdicts = {found["claim"]: found["verdict"] for found in findings(results, spec).values()}
        bounds = {"C1": spec.c1.smallest_effect, "C2": spec.c2.smallest_effect, "C3": spec.c3.smallest_effect}
        ours = {result.claim: result.effect for result in results.values()}
        stands = {result.claim: result.p_value for result in results.values()}
        for analysis, effects in (("clustered", ours), ("naive", naive(panel, spec))):
            for claim, effect in effects.items():
                low, high = effect.interval()
                clustered = analysis == "clustered"
                equivalence = stands["C2"] if clustered and claim == "C2" else effect.p_equivalence(bounds[claim])
                rows.append(
                    {
                        "kind": chunk.kind,
                        "study": number,
                        "claim": claim,
                        "analysis": analysis,
                        "truth": true[claim],
                        "effect": effect.value,
                        "ci95_low": low,
                        "ci95_high": high,
                        "p_difference": effect.p_two_sided(),
                        "p_equivalence": equivalence,
                        "verdict": verdicts[claim] if clustered else "",
                    }
                )
    return pd.DataFrame(rows)


def study_of(chunk: CalibrationChunk) -> Study:
    """The study that a chunk repeats."""
    study = replace(
        PLANTED["none" if chunk.kind == "bound" else chunk.kind],
        documents=chunk.documents,
        passages=chunk.passages,
        ratios=(2, 4),
        seeds=(0, 1, 2),
    )
    return at_the_bound(study, chunk.claims.c2.smallest_effect) if chunk.kind == "bound" else study


def summarise(outcomes: pd.DataFrame, spec: Calibration) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of rates and coverages, and the summary of what decides: ready for JSON."""
    rows = []
    for analysis in ("clustered", "naive"):
        part = outcomes[outcomes["analysis"] == analysis]
        for claim, verdict, kind, column in TESTS:
            values = part[(part["claim"] == claim) & (part["kind"] == kind)][column].to_numpy() < LEVEL
            rows.append([analysis, "false_positive_rate", claim, verdict, kind, *_share(values), LEVEL])
        for claim, kinds in COVERAGE.items():
            for kind in kinds:
                some = part[(part["claim"] == claim) & (part["kind"] == kind)]
                values = ((some["ci95_low"] <= some["truth"]) & (some["truth"] <= some["ci95_high"])).to_numpy()
                rows.append([analysis, "coverage", claim, "interval", kind, *_share(values), 1 - LEVEL])
    ours = outcomes[outcomes["analysis"] == "clustered"].set_index(["kind", "study", "claim"])
    verdicts = ours["verdict"].unstack("claim")  # noqa: PD010 - one verdict each, nothing to sum
    null = verdicts.loc["none"]
    wrong = (null["C1"] == "supported") | (null["C3"] == "supported") | (null["C2"] == "contradicted")
    rows.append(["clustered", "false_verdict_in_family", "all", "any", "none", *_share(wrong.to_numpy()), LEVEL])
    for name, row in verdicts.groupby("kind"):
        for claim in ("C1", "C2", "C3"):
            for verdict in ("supported", "contradicted"):
                share = _share((row[claim] == verdict).to_numpy())
                rows.append(["clustered", "verdict", claim, verdict, str(name), *share, np.nan])
    table = pd.DataFrame(rows, columns=TABLE)
    return table, finite(_summary(table, spec))


def _summary(table: pd.DataFrame, spec: Calibration) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for analysis in ("clustered", "naive"):
        part = table[table["analysis"] == analysis]
        rates = part[part["quantity"] == "false_positive_rate"]
        named = {
            (row.claim if row.verdict == "supported" else f"{row.claim} {row.verdict}"): row.share
            for row in rates.itertuples()
        }
        # The worst of the kinds that plant the effect.
        covered = part[part["quantity"] == "coverage"].groupby("claim", sort=True)["share"].min().to_dict()
        found[analysis] = {"false_positive_rate": named, "coverage": covered}
    ours = found.pop("clustered")
    family = table[table["quantity"] == "false_verdict_in_family"]["share"].item()
    return {
        **ours,
        "false_verdict_in_family": family,
        "level": LEVEL,
        "false_positive_rates_within": [LEVEL - ALLOWED, LEVEL + ALLOWED],
        "least_coverage": COVERED,
        "calibrated": all(abs(rate - LEVEL) <= ALLOWED for rate in ours["false_positive_rate"].values())
        and all(share >= COVERED for share in ours["coverage"].values()),
        "naive": found["naive"],
        "studies": table[table["quantity"] == "verdict"].groupby("kind")["studies"].first().to_dict(),
        "spec": spec.model_dump(mode="json"),
        "reading": (
            "false_positive_rate: share of studies whose null hypothesis is true in which the test behind the verdict "
            "rejects it at the level, before the correction for the family. coverage: least share, over the kinds of "
            "study that plant the effect, of 95 % intervals that hold it."
        ),
    }


def _share(values: np.ndarray) -> tuple[float, float, float, int]:
    """Share, its 95 % interval (Wilson 1927) and the number of studies."""
    result = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
    return float(values.mean()), float(result.low), float(result.high), len(values)
