"""Join what was measured into the table of the study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from contextpress.analysis.observations import CONTROLS, OBSERVATIONS
from contextpress.analysis.spec import MemoryTest, ObservationsSpec
from contextpress.entropy.scores import GAP, MODEL_FREE, PASSAGE_SCORES
from contextpress.reconstruction.table import MEASURES, OF_SAMPLE, RECONSTRUCTIONS
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import batches, read_table
from contextpress.tokens.passages import PASSAGES, sampled

KEY = ("encoder", "decoder", "readout", "ratio", "decoder_training", "seed")
_ENTROPIES = ("nll", "bits_per_byte", "predictive_entropy", "bucket")


def join(
    spec: ObservationsSpec,
    *,
    passages: Sequence[Path],
    scores: Sequence[Path],
    model_free: Sequence[Path],
    gaps: Sequence[Path],
    reconstructions: Sequence[Path],
) -> Iterator[pd.DataFrame]:
    """The observations: one row per passage and compressor, sorted by compressor and passage.

    Yields:
        the rows of one compressor. Beside them, what is known of the passages and of two models is held.

    Raises:
        UserError: if a table lacks a passage, model or pair that another one has.
    """
    if len(reconstructions) != len(spec.compressors):
        raise UserError(f"{len(spec.compressors)} compressors, but {len(reconstructions)} reconstruction tables")
    text = _text(passages)
    sample = text.index[sampled(text.reset_index())]
    free = _by_passage(pd.concat([read_table(path, MODEL_FREE) for path in model_free]), "model-free entropies")
    scores_of = _scores(scores)
    gap_table = pd.concat([read_table(path, GAP, GAP.names) for path in gaps])
    gap_table = gap_table.drop_duplicates(["encoder", "decoder", "seed"])
    names = ["design", "kl_encoder_decoder", "kl_decoder_encoder", "entropy_difference"]
    by_pair = {
        (row["encoder"], row["decoder"], row["seed"]): {f"gap_{name}": row[name] for name in names}
        for row in gap_table.to_dict("records")
    }
    described_by = [(tuple(getattr(one, name) for name in KEY), one) for one in spec.compressors]
    by_key = {key: (one, path) for (key, one), path in zip(described_by, reconstructions, strict=True)}
    if len(by_key) < len(spec.compressors):
        raise UserError("two compressors of the study share encoder, decoder, read-out, ratio, training and seed")
    for described, path in (by_key[key] for key in sorted(by_key)):
        pair = (described.encoder, described.decoder, described.seed)
        if pair not in by_pair:
            raise UserError(f"no gap for encoder {pair[0]} and decoder {pair[1]} of seed {pair[2]}")
        measured = _measures(path, sample)
        wanted = measured.index
        part = pd.concat([_rows(text, wanted, "passages", path), _rows(free, wanted, "model-free", path)], axis=1)
        for side, model in (("encoder", described.encoder_model), ("decoder", described.decoder_model)):
            found = scores_of(model)
            if found is None:
                raise UserError(f"no passage scores of model {model}, the {side} of {described.name}")
            found = _rows(found, wanted, f"scores of {model}", path)
            part[[f"{side}_{name}" for name in _ENTROPIES]] = found[list(_ENTROPIES)].to_numpy()
        if (part["decoder_nll"] <= 0).any():
            raise UserError(f"scores of {described.decoder_model}: a passage has an nll of 0 or less")
        part = pd.concat([part, measured], axis=1).reset_index(names="passage_id")
        part = part.assign(
            **described.model_dump(exclude={"encoder_model", "decoder_model"}),
            **by_pair[pair],
            information_retained=1 - part["nll"] / part["decoder_nll"],
            memory_used=memory_used(part, spec.memory_test),
        )
        types = {"encoder_bucket": "int32", "decoder_bucket": "int32", **_nullable_floats()}
        yield part.astype(types).sort_values("passage_id", kind="stable")[OBSERVATIONS.names]


def memory_used(rows: pd.DataFrame, test: MemoryTest) -> bool:
    """Whether a compressor's own memory gives a clearly lower nll than the memory of another passage."""
    return memory_gain(rows, test.confidence)[1] > test.min_gain


def memory_gain(rows: pd.DataFrame, confidence: float) -> tuple[float, float]:
    """By how many nats per token a compressor's own memory beats that of another passage: mean, and lower bound.

    The paired differences of the unaltered passages are averaged; the error of the mean counts documents, not
    passages (cluster-robust, t with documents - 1 degrees of freedom; Cameron and Miller 2015, J. Human Resources).
    With a single document nothing can be shown, and there is no bound: minus infinity.
    """
    normal = rows[rows["variant"] == "normal"]
    gain = normal["nll_shuffled"] - normal["nll"]
    count, documents = len(gain), normal["document_id"].nunique()
    if documents < 2:
        return float(gain.mean()), -np.inf
    sums = (gain - gain.mean()).groupby(normal["document_id"].to_numpy()).sum()
    error = float(np.sqrt(documents / (documents - 1) * np.square(sums).sum()) / count)
    return float(gain.mean()), float(gain.mean() - stats.t.ppf(confidence, documents - 1) * error)


def _text(passages: Sequence[Path]) -> pd.DataFrame:
    """What is known of the passages, by name."""
    columns = ["passage_id", "document_id", "domain", "source", "variant", "bytes", "entropy_rate", "token_ids"]
    parts = []
    for part in batches(passages, PASSAGES, columns):
        part["tokens"] = part.pop("token_ids").map(len)
        parts.append(part)
    return _by_passage(pd.concat(parts), "passages")


def _scores(paths: Sequence[Path]) -> Callable[[str], pd.DataFrame | None]:
    """Reads the passage scores of a model, and keeps those of the last two."""
    holders: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        for model in read_table(path, PASSAGE_SCORES, ["model"])["model"].unique():
            holders[model].append(path)

    @lru_cache(maxsize=2)
    def scores_of(model: str) -> pd.DataFrame | None:
        tables = [read_table(path, PASSAGE_SCORES) for path in holders[model]]
        rows = [table[table["model"] == model] for table in tables]
        return _by_passage(pd.concat(rows), f"scores of {model}") if rows else None

    return scores_of


def _by_passage(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    indexed = frame.set_index("passage_id")
    if not indexed.index.is_unique:
        double = indexed.index[indexed.index.duplicated()][0]
        raise UserError(f"{what}: passage {double} comes twice")
    return indexed


def _rows(frame: pd.DataFrame, wanted: pd.Index, what: str, path: Path) -> pd.DataFrame:
    missing = wanted.difference(frame.index)
    if len(missing):
        raise UserError(f"{what}: no row for passage {missing[0]} of {path} (and {len(missing) - 1} more)")
    return frame.loc[wanted]


def _measures(path: Path, sample: pd.Index) -> pd.DataFrame:
    """Measures per passage: with real memory under their own name, with a control under ``measure_control``.

    Of a passage outside the ``sample``, the controls zeroed and truncated may be missing.
    """
    rows = read_table(path, RECONSTRUCTIONS, ["passage_id", "condition", *MEASURES])
    if rows.duplicated(["passage_id", "condition"]).any():
        raise UserError(f"table {path}: a passage comes twice in one condition")
    parts = []
    for condition in ("real", *CONTROLS):
        part = rows[rows["condition"] == condition].set_index("passage_id")[list(MEASURES)].sort_index()
        parts.append(part if condition == "real" else part.add_suffix(f"_{condition}"))
        every = parts[0].index
        needed = every.intersection(sample) if condition in OF_SAMPLE else every
        if part.empty or not part.index.isin(every).all() or not needed.isin(part.index).all():
            raise UserError(f"table {path}: not every passage has the conditions real, {', '.join(CONTROLS)}")
    return pd.concat(parts, axis=1)


def _nullable_floats() -> dict[str, str]:
    # A column of None alone would be of type object, and its concatenation would depend on the order of the parts.
    return {field.name: "float64" for field in OBSERVATIONS if field.nullable}
