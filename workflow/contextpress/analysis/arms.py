"""Is the gap hard to mitigate? Every arm's share of the gap, beside longer training at the same cost.

A mismatched pair without help and the matched pair, both as the study trains them, are the two ends of the gap. An
arm's share is (arm - mismatched) / (matched - mismatched): numerator and denominator are averaged over passages,
domains alike, then over pairs and seeds, and divided last, so that a seed with a small gap weighs as little as it
should. Whatever is trained for longer gets better, the matched pair too; so arms are judged by what they close beyond
longer training, which costs the same.

Errors are those of documents, by bootstrap, and of training runs, by the scatter of seeds within pairs (see
``inference``). For the latter a share is linearised: each run's part is (gain - share x gap) / mean gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import clusters, document_freedom, finite, sample, too_little
from contextpress.analysis.gap import cell_means
from contextpress.analysis.inference import Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.join import memory_used
from contextpress.analysis.multiplicity import adjusted
from contextpress.analysis.panel import Array, Panel, places
from contextpress.analysis.spec import ArmCell, ArmsSpec
from contextpress.reconstruction.table import RECONSTRUCTIONS
from contextpress.runtime.tables import batches, read_table
from contextpress.tokens.passages import PASSAGES

Verdict = Literal["mitigates", "worsens", "does not mitigate", "inconclusive"]
NONE, MATCHED = "none", "matched"  # in the table: the pair without help, and the matched pair
STATEMENT = "The gap is hard to mitigate: nothing closes much of it that longer training at the same cost does not."
RULE = (
    "An arm mitigates: the gap itself is shown (its interval is above 0), the share closed beyond longer training is "
    "positive with a p-value below alpha, corrected for the number of arms, and it is not shown to be smaller than the "
    "smallest share of interest. It worsens: the same share is negative with such a p-value. It does not mitigate: "
    "that share is shown to be smaller than the smallest share of interest (one-sided, alpha). Longer training is "
    "held against the pair without help instead, uncorrected. The statement is contradicted if some arm but longer "
    "training mitigates, supported if each of them is shown not to. Otherwise, with too little data, or where a "
    "compressor ignores its memory, inconclusive."
)
NOTE = (
    "Shares of the gap between the mismatched and the matched pair, both without help. Cost is counted in "
    "floating-point operations of the compressor's training and of the arm's own thing; the pretraining of the "
    "language models, which is more for larger ones, is not part of it and has a column of its own. gap_left is what "
    "separates an arm from the matched pair at the same cost, trained in the same way where that was tried (else for "
    "longer): an arm may raise a pair by more than the gap and leave the gap as it was. Models of one shape start from "
    "one warm-up, a larger one from its own, which costs quality whatever its size; of larger models gap_left is the "
    "fair comparison, for their matched pairs bear the same cost. A decoder that learns is no longer the plain "
    "language model. The pairs of a study share language models across seeds, so that seeds are less independent than "
    "they look. The interval of the best arm allows for its being picked."
)
TABLE = [
    *("arm", "encoder", "decoder", "quality", "share_closed", "ci95_low", "ci95_high"),
    *("beyond_longer", "beyond_low", "beyond_high", "p_corrected", "gap_left", "left_low", "left_high"),
    *("n", "documents", "seeds", "steps", "flops", "own_flops", "pretraining_flops"),
    *("decoder_training", "memory_used", "verdict"),
]
COSTS = ("steps", "flops", "own_flops", "pretraining_flops")
ALL = "all"
Pair = tuple[str, str]  # names of encoder and decoder in the config


@dataclass(frozen=True)
class Runs:
    """Mean quality of every compressor on the data and on the draws of documents.

    Attributes:
        panel: its compressors are the cells, in their order.
        means: [C, 1 + B], domains alike.
        used: [C] whether the compressor uses its memory.
        spec: of the analysis.
    """

    panel: Panel
    means: Array
    used: list[bool]
    spec: ArmsSpec

    @cached_property
    def seeds(self) -> list[int]:
        """Of the study."""
        return sorted({cell.seed for cell in self.spec.cells})

    @cached_property
    def pairs(self) -> list[Pair]:
        """The mismatched ones."""
        named = ((cell.encoder, cell.decoder) for cell in self.spec.cells)
        return [pair for pair in dict.fromkeys(named) if pair[0] != pair[1]]

    @cached_property
    def arms(self) -> list[str]:
        """All of them, longer training first."""
        return list(dict.fromkeys(cell.arm for cell in self.spec.cells if cell.arm))

    @cached_property
    def _places(self) -> dict[tuple[str, str, str, int], int]:
        return {(cell.arm, cell.encoder, cell.decoder, cell.seed): n for n, cell in enumerate(self.spec.cells)}

    def places(self, arm: str, pairs: list[Pair]) -> list[int]:
        """[pairs x seeds] of the cells, pair by pair and seed by seed; arm empty: no help."""
        return [self._places[arm, *pair, seed] for pair in pairs for seed in self.seeds]

    def of(self, arm: str, pairs: list[Pair]) -> Array:
        """[pairs x seeds, 1 + B] quality of an arm."""
        return self.means[self.places(arm, pairs)]

    def cells(self, arm: str, pairs: list[Pair]) -> list[ArmCell]:
        """What is known of an arm's compressors."""
        return [self.spec.cells[place] for place in self.places(arm, pairs)]

    def use(self, arm: str, pairs: list[Pair]) -> float:
        """Share of an arm's compressors that use their memory."""
        return float(np.mean([self.used[place] for place in self.places(arm, pairs)]))

    def controlled(self, arm: str) -> bool:
        """Whether matched pairs were trained in this way too."""
        return any(cell.arm == arm and cell.encoder == cell.decoder for cell in self.spec.cells)

    def control(self, arm: str, pairs: list[Pair]) -> Array:
        """[pairs x seeds, 1 + B] quality of the matched pairs at the cost of the arms; in this arm's way, if any."""
        return self.of(arm if self.controlled(arm) else self.spec.longer, matched(pairs))


@dataclass(frozen=True)
class Shares:
    """What an arm does for some pairs, as shares of their gap.

    Attributes:
        quality: mean over pairs and seeds.
        closed: of the gap, against the pair without help.
        beyond: the same, against longer training.
        left: of the gap, to the matched pair at the same cost.
    """

    quality: float
    closed: Effect
    beyond: Effect
    left: Effect


def mitigation(runs: Runs) -> tuple[dict[str, Any], pd.DataFrame]:
    """The finding, and the table with the columns TABLE."""
    spec = runs.spec
    every = {arm: shares(runs, arm, runs.pairs) for arm in runs.arms}
    others = [arm for arm in runs.arms if arm != spec.longer]
    p_values = adjusted({arm: every[arm].beyond.p_two_sided() for arm in others}, spec.claims.correction)
    p_values[spec.longer] = every[spec.longer].closed.p_two_sided()
    gap = gap_of(runs, runs.pairs)
    reason = too_little(runs.panel, spec.claims) or _why_no_gap(runs, gap)
    verdicts = {arm: judge(runs, arm, every[arm], p_values[arm], reason) for arm in runs.arms}
    verdict, why = _overall({arm: verdicts[arm] for arm in others}, reason)
    best = max(others, key=lambda arm: np.nan_to_num(every[arm].beyond.value, nan=-np.inf), default=spec.longer)
    finding = {
        "statement": STATEMENT,
        "effect": every[best].beyond.value,
        "effect_name": f"share of the gap in {spec.measure} that the best arm closes beyond longer training",
        "ci95": list(every[best].beyond.interval(1 - 0.05 / max(1, len(others)))),
        "best_arm": best,
        "n": len(runs.panel.passages) * len(spec.cells),
        "clusters": clusters(runs.panel),
        "verdict": verdict,
        "reason": why,
        "rule": RULE,
        "note": NOTE,
        "measure": spec.measure,
        "smallest_share": spec.smallest_share,
        "gap": {**gap.report(), **gap.sources()},
        "arms": {
            arm: {
                "effect": every[arm].closed.value,
                "ci95": list(every[arm].closed.interval()),
                "beyond_longer": every[arm].beyond.report() if arm != spec.longer else None,
                "p_corrected": p_values[arm],
                "gap_left": every[arm].left.report(),
                "n": len(runs.panel.passages) * len(runs.cells(arm, runs.pairs)),
                "verdict": verdicts[arm][0],
                "reason": verdicts[arm][1],
            }
            for arm in runs.arms
        },
        "sample": sample(runs.panel),
    }
    return finite(finding), _table(runs, p_values, verdicts)


def load(spec: ArmsSpec, passages: Sequence[Path], reconstructions: Sequence[Path]) -> Runs:
    """Read what was reconstructed, of the passages that the claims are tested on.

    Raises:
        UserError: if a table is damaged or of another kind.
    """
    columns = ["passage_id", "document_id", "domain", "source", "split", "variant", "entropy_rate"]
    text = pd.concat(batches(passages, PASSAGES, columns), ignore_index=True)
    text = text[text["split"] == "test"].sort_values(["domain", "document_id", "passage_id"], kind="stable")
    text = text.set_index("passage_id")
    wanted = text["variant"].isin(spec.claims.variants)
    if spec.claims.natural_only:
        wanted &= text["entropy_rate"].isna()
    parts, used = [], []
    names = list(dict.fromkeys(["nll", spec.measure]))
    for path in reconstructions:
        rows = read_table(path, RECONSTRUCTIONS, ["passage_id", "condition", *names])
        real, other = (rows[rows["condition"] == name].set_index("passage_id") for name in ("real", "shuffled"))
        part = text.join(real[names], how="inner").assign(nll_shuffled=other["nll"])
        used.append(memory_used(part, spec.memory_test))
        parts.append(part[wanted.reindex(part.index)])
    seen = parts[0].index
    for part in parts[1:]:
        seen = seen.intersection(part.index, sort=False)
    kept = text.loc[seen].reset_index()
    compressors = pd.DataFrame([cell.model_dump(include={"arm", "encoder", "decoder", "seed"}) for cell in spec.cells])
    left_out = {"passages_incomplete": int(wanted.sum()) - len(seen)}
    rows = pd.concat([part.loc[seen] for part in parts])
    panel = Panel(kept, compressors, *places(kept, spec.claims.cluster), left_out, rows)
    means = np.full((len(parts), 1 + spec.claims.draws), np.nan)
    if len(kept):
        means = cell_means(panel, weights_of(panel, spec.claims), panel.quality(spec.measure)).mean(0)
    return Runs(panel, means, used, spec)


def gap_of(runs: Runs, pairs: list[Pair]) -> Effect:
    """Mean quality of the matched pairs less that of the mismatched, both without help."""
    return _over_runs(runs, _gaps(runs, pairs), pairs)


def shares(runs: Runs, arm: str, pairs: list[Pair]) -> Shares:
    """What an arm does for some pairs."""
    values = runs.of(arm, pairs)
    return _shares(runs, values, runs.control(arm, pairs), pairs)


def _shares(runs: Runs, values: Array, control: Array, pairs: list[Pair]) -> Shares:
    """What quality [pairs x seeds, 1 + B] is, as shares of the gap."""

    def share(gains: Array) -> Effect:
        gaps = _gaps(runs, pairs)
        whole = np.where(gaps.mean(0) > 0, gaps.mean(0), np.nan)
        found = gains.mean(0) / whole
        return _over_runs(runs, (gains - found * gaps) / whole + found, pairs)

    longer = runs.of(runs.spec.longer, pairs)
    ends = (values - runs.of("", pairs), values - longer, control - values)
    return Shares(float(values[:, 0].mean()), *map(share, ends))


def _gaps(runs: Runs, pairs: list[Pair]) -> Array:
    return runs.of("", matched(pairs)) - runs.of("", pairs)


def _over_runs(runs: Runs, values: Array, pairs: list[Pair]) -> Effect:
    """Mean of [pairs x seeds, 1 + B], with the errors of documents and of training runs."""
    # A pair's encoder and decoder are trained anew together: one owner of the scatter, not two.
    owners = pd.DataFrame([(f"{one}-{two}", seed) for one, two in pairs for seed in runs.seeds])
    owners.columns = pd.Index(["encoder", "seed"])
    return combine(mean_over(values), scatter_of_runs(values, owners), document_freedom(runs.panel))


def matched(pairs: list[Pair]) -> list[Pair]:
    """The matched pair of each, whose encoder has the decoder's data."""
    return [(decoder, decoder) for _, decoder in pairs]


def _why_no_gap(runs: Runs, gap: Effect) -> str | None:
    """Why there are no shares to speak of, or None."""
    if runs.use("", [*runs.pairs, *matched(runs.pairs)]) < 1:
        return "a compressor without help ignores its memory"
    low, high = gap.interval()
    if low is None or high is None:
        return "the error of the gap is not known"
    return None if low > 0 else f"no gap is shown to close: {gap.value:.3g} [{low:.3g}, {high:.3g}]"


def judge(runs: Runs, arm: str, found: Shares, p_value: float | None, reason: str | None) -> tuple[Verdict, str]:
    """Verdict on an arm and its reason, by RULE; ``p_value`` is corrected, ``reason`` is why nothing can be said."""
    alpha, smallest = runs.spec.claims.alpha, runs.spec.smallest_share
    effect, than = (found.beyond, "longer training") if arm != runs.spec.longer else (found.closed, "no help")
    p_small = effect.p_below(smallest)
    if reason is None and runs.use(arm, runs.pairs) < 1:
        reason = "a compressor of the arm ignores its memory"
    if reason is not None or p_value is None or p_small is None:
        return "inconclusive", reason or "the error of the share is not known"
    if p_value < alpha and effect.value < 0:
        return "worsens", f"it closes less than {than} does"
    if p_small < alpha:
        return "does not mitigate", f"it is shown to close less than {smallest:g} of the gap beyond {than}"
    if p_value < alpha:
        return "mitigates", f"it is shown to close more than {than} does"
    return "inconclusive", f"neither more than {than} nor less than {smallest:g} of the gap beyond it is shown"


def _overall(verdicts: dict[str, tuple[Verdict, str]], reason: str | None) -> tuple[str, str]:
    """Verdict on STATEMENT from those on the arms but longer training."""
    if reason is not None or not verdicts:
        return "inconclusive", reason or "no arm but longer training was tried"
    good = [arm for arm, (verdict, _) in verdicts.items() if verdict == "mitigates"]
    if good:
        return "contradicted", f"mitigated by {', '.join(good)}"
    open_ = [arm for arm, (verdict, _) in verdicts.items() if verdict == "inconclusive"]
    if open_:
        return (
            "inconclusive",
            f"no arm is shown to mitigate, but of {', '.join(open_)} it is not shown that they do not",
        )
    return "supported", "no arm mitigates"


def _table(runs: Runs, p_values: dict[str, float | None], verdicts: dict[str, tuple[Verdict, str]]) -> pd.DataFrame:
    """All arms and ends of all pairs together, which the verdicts are about, then of each pair."""
    whole = runs.pairs
    sets = [whole] if len(whole) == 1 else [whole, *([pair] for pair in whole)]
    rows = []
    for pairs in sets:
        names = pairs[0] if len(pairs) == 1 else (ALL, ALL)
        for label, arm, made_of in _rows_of(runs, pairs):
            found = _shares(runs, runs.of(arm, made_of), runs.control(arm, pairs), pairs)
            cells = runs.cells(arm, made_of)
            is_arm = label == arm
            beyond = found.beyond if is_arm and arm != runs.spec.longer else None
            rows.append(
                [
                    *(label, *names, found.quality),
                    *_ends(found.closed if arm else None, found.closed.value),
                    *_ends(beyond),
                    p_values[arm] if is_arm and pairs == whole else None,
                    *_ends(found.left if is_arm else None),
                    *(len(runs.panel.passages), clusters(runs.panel), len(runs.seeds)),
                    *(round(float(np.mean([getattr(cell, name) for cell in cells]))) for name in COSTS),
                    cells[0].decoder_training,
                    runs.use(arm, made_of),
                    verdicts[arm][0] if is_arm and pairs == whole else "",
                ]
            )
    return pd.DataFrame(rows, columns=TABLE)


def _rows_of(runs: Runs, pairs: list[Pair]) -> Iterator[tuple[str, str, list[Pair]]]:
    """Label, arm, and the pairs that were trained in its way: the ends, then every arm and its matched pairs."""
    yield NONE, "", pairs
    yield MATCHED, "", matched(pairs)
    for arm in runs.arms:
        yield arm, arm, pairs
        if runs.controlled(arm):
            yield f"{MATCHED}_{arm}", arm, matched(pairs)


def _ends(effect: Effect | None, value: float = math.nan) -> list[float | None]:
    """Value and interval, or the value alone where there is no effect to speak of."""
    return [value, None, None] if effect is None else [effect.value, *effect.interval()]
