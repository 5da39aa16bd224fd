"""The table of the probe: shares of right answers by pair, setting, kind of question, bucket, and arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.answers import BASES, KINDS, Probe, counted, shares
from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import over_runs
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import mean_over
from contextpress.analysis.panel import SETTING, Array, Codes, Panel, oriented, places
from contextpress.analysis.spec import AskedArm

NONE = "none"  # in the place of an arm: a compressor of the study, without help
TABLE = [
    *["arm", "encoder", "decoder", *SETTING],
    *["questions", "bucket", "words", "memory", "ci95_low", "ci95_high"],
    *BASES[1:],
    *["kept", "asked", "records", "compressors"],
]
Group = tuple[tuple[object, ...], Codes]  # what some compressors have in common, and which they are
Cell = tuple[str, object, Array | None]  # kind of question, bucket, and who is in it


def probe_table(probe: Probe) -> pd.DataFrame:
    """Shares of right answers, by kind of question: of each pair and setting, of each setting, and over all.

    ``questions`` is one of KINDS; ``bucket`` the encoder's bucket of surprise among the records, or "all". ``words`` is
    the mean quality of the same records' reconstructions; ``memory`` and the other bases are shares of right answers,
    the interval is of ``memory``. ``kept`` is the part of what the full text adds to answering without a record that
    memory keeps. ``asked`` and ``records`` are counts under one compressor, on average. Compressors that ignore their
    memory are left out.
    """
    panel = probe.panel
    if panel.compressors.empty:
        return pd.DataFrame(columns=TABLE)
    bucket = panel.values("encoder_bucket")
    groups: list[Group] = [
        ((NONE, *key), rows.index.to_numpy())
        for key, rows in panel.compressors.groupby(["encoder", "decoder", *SETTING], sort=True)
    ]
    groups += [((NONE, "all", "all", *key), rows.index.to_numpy()) for key, rows in panel.settings()]
    groups.append(((NONE, *["all"] * (len(SETTING) + 2)), np.arange(len(panel.compressors))))
    cells: list[Cell] = [(kind, "all", None) for kind in KINDS]
    cells += [("all", int(number), (bucket == number).astype(np.float64)) for number in np.unique(bucket)]
    return pd.DataFrame(_rows(panel, probe.weights, probe.words, groups, cells), columns=TABLE)


def arm_table(
    records: pd.DataFrame,
    asked: pd.DataFrame,
    answers: Sequence[pd.DataFrame],
    reconstructions: Sequence[pd.DataFrame],
    arms: Sequence[AskedArm],
    claims: ClaimsSpec,
) -> pd.DataFrame:
    """The same of every arm and pair, buckets left out, as arms have no place among the study's observations.

    Args:
        records: with the schema PASSAGES.
        asked: with the schema ASKED.
        answers: of each arm's compressors, with the schema ANSWERS.
        reconstructions: of each, with the schema RECONSTRUCTIONS.
        arms: what they are, in that order.
        claims: the study's; of them the measure of words and the bootstrap.
    """
    if not arms:
        return pd.DataFrame(columns=TABLE)
    records = records.sort_values(["domain", "document_id", "passage_id"]).reset_index(drop=True)
    names, measure, parts = records["passage_id"], claims.c1.measure, []
    for arm, given, made in zip(arms, answers, reconstructions, strict=True):
        real = made[made["condition"] == "real"].set_index("passage_id")
        counts = counted(asked, given, made, f"{arm.arm} of {arm.encoder}-{arm.decoder}")
        parts.append(counts.loc[names].assign(words=real.loc[names, measure].to_numpy()))
    compressors = pd.DataFrame([arm.model_dump() for arm in arms])
    panel = Panel(records, compressors, *places(records, claims.cluster), {}, pd.concat(parts))
    keys = ["arm", "encoder", "decoder", *SETTING]
    groups = [(key, rows.index.to_numpy()) for key, rows in compressors.groupby(keys, sort=False)]
    words = oriented(measure, panel.values("words"))
    cells: list[Cell] = [(kind, "all", None) for kind in KINDS]
    return pd.DataFrame(_rows(panel, weights_of(panel, claims), words, groups, cells), columns=TABLE)


def _rows(
    panel: Panel, weights: Array, words: Array, groups: Sequence[Group], cells: Sequence[Cell]
) -> list[list[Any]]:
    rows = []
    for kind, number, member in cells:
        found = {base: shares(panel, weights, base, kind, member) for base in BASES}
        asked = panel.values(f"asked_{kind}") * (1.0 if member is None else member)
        there = (asked > 0).astype(np.float64)
        quality = (words * there).sum(0) / np.where(there.sum(0) > 0, there.sum(0), np.nan)
        for key, index in groups:
            part = panel.only(np.isin(np.arange(len(panel.compressors)), index))
            effect = over_runs(part, found["memory"][index])
            means = {base: mean_over(values[index])[0] for base, values in found.items()}
            gain = means["text"] - means["nothing"]
            kept = (means["memory"] - means["nothing"]) / gain if gain > 0 else np.nan
            own = quality[index][np.isfinite(quality[index])]
            numbers = [asked[:, index].sum(0).mean(), there[:, index].sum(0).mean(), len(index)]
            ends = [effect.value, *effect.interval(), *(means[base] for base in BASES[1:])]
            rows.append([*key, kind, number, own.mean() if len(own) else np.nan, *ends, kept, *numbers])
    return rows
