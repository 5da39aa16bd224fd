"""The observations as a block: passages x compressors, the shape in which every claim is tested."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from contextpress.analysis.hypotheses import ClaimsSpec, Training

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]  # numbers that stand for labels

# What names one compressor of a study; without the seed, what is varied on purpose.
SETTING = ["readout", "ratio", "decoder_training"]
COMPRESSOR = ["encoder", "decoder", *SETTING, "seed"]
# Measures of the gap of a pair; the first is the primary one.
GAPS = ["gap_design", "gap_kl_encoder_decoder", "gap_kl_decoder_encoder", "gap_entropy_difference"]
_PASSAGE = ["domain", "document_id", "passage_id"]


@dataclass(frozen=True)
class Panel:
    """Complete block of passages x compressors.

    Attributes:
        passages: P rows with what belongs to the passage alone; sorted, so that a domain is one slice.
        compressors: C rows with the columns COMPRESSOR, the replaced shares and the gaps; sorted.
        domains: names of the domains, in order.
        slices: rows of each domain in ``passages``.
        documents: [P] number of the passage's document (or source file, if that is the cluster).
        left_out: what did not get into the block, and why.
    """

    passages: pd.DataFrame
    compressors: pd.DataFrame
    domains: list[str]
    slices: list[slice]
    documents: Codes
    left_out: dict[str, int]
    _rows: pd.DataFrame = field(repr=False)

    def values(self, column: str) -> Array:
        """[P, C] values of an observed column, or of a gain over shuffled memory such as ``nll_gain``."""
        count, width = len(self.passages), len(self.compressors)
        if column.endswith("_gain"):
            measure = column.removesuffix("_gain")
            return oriented(measure, self.values(measure)) - oriented(measure, self.values(f"{measure}_shuffled"))
        return self._rows[column].to_numpy(dtype=np.float64).reshape(width, count).T.copy()

    def quality(self, measure: str) -> Array:
        """[P, C] values of a measure, turned so that more is better."""
        return oriented(measure, self.values(measure))

    def settings(self) -> list[tuple[tuple[object, ...], pd.DataFrame]]:
        """Read-out, ratio and decoder training, and the compressors that have them, setting by setting."""
        return [(tuple(key), rows) for key, rows in self.compressors.groupby(SETTING, sort=True)]

    def only(self, keep: npt.NDArray[np.bool_]) -> Panel:
        """The panel with some of its compressors."""
        rows = self._rows[np.repeat(keep, len(self.passages))]
        compressors = self.compressors[keep].reset_index(drop=True)
        return Panel(self.passages, compressors, self.domains, self.slices, self.documents, self.left_out, rows)


def oriented(measure: str, values: Array) -> Array:
    """Values of a measure turned so that more is better: only nll is a cost."""
    return -values if measure == "nll" else values


def build_panel(
    observations: pd.DataFrame,
    spec: ClaimsSpec,
    training: Training = "any",
    *,
    generated: bool = False,
    unused: bool = False,
) -> Panel:
    """Take from the observations the block a claim is tested on.

    Args:
        observations: table with the schema OBSERVATIONS.
        spec: family of hypotheses; says which variants count.
        training: keep compressors whose decoder was trained so.
        generated: take generated text (known entropy rate) instead of natural text.
        unused: keep compressors that do not use their memory.

    Only passages seen by every remaining compressor stay, so that all are compared on the same text.
    """
    rows = observations[observations["variant"].isin(spec.variants)]
    if generated:
        rows = rows[rows["entropy_rate"].notna()]
    elif spec.natural_only:
        rows = rows[rows["entropy_rate"].isna()]
    named = rows.drop_duplicates(COMPRESSOR)
    other = named["decoder_training"] != training if training != "any" else np.zeros(len(named), dtype=bool)
    idle = ~named["memory_used"] & ~other
    left_out = {"compressors_memory_unused": int(idle.sum()), "compressors_other_training": int(other.sum())}
    if training != "any":
        rows = rows[rows["decoder_training"] == training]
    if not unused:
        rows = rows[rows["memory_used"]]
    rows = rows.sort_values([*COMPRESSOR, *_PASSAGE], kind="stable")
    columns = [*COMPRESSOR, "encoder_replaced", "decoder_replaced", *GAPS, "memory_used"]
    compressors = rows.drop_duplicates(COMPRESSOR)[columns].reset_index(drop=True)
    seen = rows.groupby("passage_id", sort=False)["passage_id"].transform("size")
    complete = rows[seen == len(compressors)]
    left_out["passages_incomplete"] = int(rows["passage_id"].nunique() - complete["passage_id"].nunique())
    passages = complete.drop_duplicates("passage_id").sort_values(_PASSAGE).reset_index(drop=True)
    passages = passages[[*_PASSAGE, "source", "tokens", "bytes", "unigram_entropy", "zlib_bits_per_byte"]]
    if not len(passages):
        compressors = compressors.iloc[:0]
    return Panel(passages, compressors, *places(passages, spec.cluster), left_out, complete)


def places(passages: pd.DataFrame, cluster: str) -> tuple[list[str], list[slice], Codes]:
    """Domains, rows of each, and document of each row, of passages that are sorted by domain."""
    domains = list(dict.fromkeys(passages["domain"]))
    ends = np.cumsum([int((passages["domain"] == domain).sum()) for domain in domains], dtype=np.int64)
    slices = (
        [slice(int(start), int(end)) for start, end in zip(np.r_[0, ends[:-1]], ends, strict=True)] if domains else []
    )
    return domains, slices, passages.groupby(["domain", cluster], sort=True).ngroup().to_numpy().astype(np.int64)
