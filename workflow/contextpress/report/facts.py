"""What the observations say of a study: what was run, and what its compressors learned."""

from __future__ import annotations

import pandas as pd

from contextpress.analysis.panel import COMPRESSOR
from contextpress.report.markdown import bullets, table

_SHOWN = {
    "accuracy": ("accuracy", "{:.3f}"),
    "nll": ("NLL, own memory", "{:.3f}"),
    "nll_shuffled": ("NLL, shuffled memory", "{:.3f}"),
    "token_f1": ("token F1", "{:.3f}"),
    "bleu": ("BLEU", "{:.1f}"),
}


def learned(observations: pd.DataFrame, domain: str) -> str:
    """Accuracy and likelihood of the matched pairs on one domain, and of all compressors by ratio."""
    normal = observations[observations["variant"] == "normal"]
    matched = normal[(normal["gap_design"] == 0) | (normal["encoder"] == normal["decoder"])]
    here = matched[matched["domain"] == domain]
    where = f"domain {domain}" if len(here) else "all domains"
    parts = [
        f"Pairs whose encoder and decoder were pretrained on the same data, {where}, mean over passages and seeds. "
        f"NLL is in nats per token; memory that is read makes it lower than another passage's memory does.",
        _means(here if len(here) else matched, ["encoder", "decoder", "readout", "ratio"]),
        "All compressors, all domains, by ratio.",
        _means(normal, ["ratio"]),
    ]
    return "\n\n".join(parts)


def run(observations: pd.DataFrame) -> str:
    """Models, pairs, settings and text of a study."""
    compressors = observations.drop_duplicates(COMPRESSOR)
    passages = observations.drop_duplicates("passage_id")
    normal = passages[passages["variant"] == "normal"]
    domains = normal.groupby("domain", sort=True)["passage_id"].size()
    items = [
        f"encoders: {_names(compressors['encoder'])}",
        f"decoders: {_names(compressors['decoder'])} (trained: {_names(compressors['decoder_training'])})",
        f"pairs: {len(compressors[['encoder', 'decoder']].drop_duplicates())}",
        f"read-outs: {_names(compressors['readout'])}",
        f"ratios: {_names(compressors['ratio'])} tokens per memory vector",
        f"seeds: {_names(compressors['seed'])}",
        f"compressors: {len(compressors)}",
        f"passages: {len(normal):,} of {normal['document_id'].nunique():,} documents "
        f"({', '.join(f'{name} {count}' for name, count in domains.items())}), "
        f"{_range(normal['tokens'])} tokens each",
        f"disturbed passages of the control ladder: {len(passages) - len(normal):,}",
        f"observations: {len(observations):,}",
    ]
    return bullets(items)


def unused(observations: pd.DataFrame) -> str:
    """Compressors whose own memory is not clearly better than another passage's; the claims leave them out."""
    compressors = observations.drop_duplicates(COMPRESSOR).sort_values(COMPRESSOR)
    idle = compressors[~compressors["memory_used"]]
    if idle.empty:
        return f"None: all {len(compressors)} compressors read their own memory clearly better than another's."
    said = f"{len(idle)} of {len(compressors)} compressors; the claims leave them out."
    rows = idle[COMPRESSOR].astype(str).to_numpy().tolist()
    return said + "\n\n" + table([name.replace("_", " ") for name in COMPRESSOR], rows)


def _means(rows: pd.DataFrame, keys: list[str]) -> str:
    if rows.empty:
        return "There is none."
    means = rows.groupby(keys, sort=True, as_index=False)[list(_SHOWN)].mean()
    head = [*keys, *(name for name, _ in _SHOWN.values())]
    body = [
        [*(str(row[key]) for key in keys), *(form.format(row[name]) for name, (_, form) in _SHOWN.items())]
        for row in means.to_dict("records")
    ]
    return table(head, body, numbers=[name for name in head if name not in ("encoder", "decoder", "readout")])


def _names(column: pd.Series) -> str:
    return ", ".join(str(value) for value in sorted(column.unique()))


def _range(column: pd.Series) -> str:
    low, high = column.min(), column.max()
    return f"{low}" if low == high else f"{low} to {high}"
