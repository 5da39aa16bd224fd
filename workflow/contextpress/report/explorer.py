"""The explorer: passages, reconstructions and scores of a study in one HTML file that needs no network.

Everything that comes from text, model or config lies in one block of the page, deflated and in base64: no text can end
the element it lies in, and the page's script puts it on the screen as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contextpress.analysis.spec import CompressorDescription
from contextpress.reconstruction.table import MEASURES
from contextpress.report.spec import ExplorerSpec
from contextpress.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LARGEST = 14_000_000  # bytes of a page; with more passages than fit, it shows some of them and says so
NATS_STEP = 1 / 16  # a token's nll is kept in 8 bits: 0 to 15.9 nats, and what lies above as 15.9
APART = 2**32  # from the ids of one tokenizer to those of the next
ALIGNED = 8  # bytes; a browser reads an array only where its numbers would lie in memory
_COMPRESSOR = ["encoder", "decoder", "readout", "ratio", "seed", "decoder_training"]
_PASSAGE = ["passage_id", "domain", "source"]
_MODEL = [f"{side}_{name}" for side in ("encoder", "decoder") for name in ("nll", "bucket")]

# What the page calls the measures of a reconstruction.
LABELS = {
    "token_f1": "Token F1",
    "accuracy": "Teacher-forced accuracy",
    "nll": "NLL with memory (nats per token)",
    "information_retained": "Information retained",
    "bleu": "BLEU (0 to 100)",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF (0 to 100)",
    "edit_similarity": "Edit similarity",
    "prefix_match": "Prefix reproduced",
    "exact_match": "Exact match",
}
COLUMNS = ["variant", "memory_used", "information_retained", *_PASSAGE, *_COMPRESSOR, *_MODEL, *MEASURES]


@dataclass(frozen=True)
class Tables:
    """What an explorer shows; rows of passages that are disturbed or not reconstructed are ignored.

    Attributes:
        passages: rows of PASSAGES.
        observations: ``COLUMNS`` of OBSERVATIONS.
        token_scores: rows of TOKEN_SCORES by model.
        reconstructions: rows of RECONSTRUCTIONS by compressor, in the order of the spec.
        tokenizers: what each model calls its tokenizer.
        pieces: text of each token id that occurs in passages and reconstructions, by tokenizer.
    """

    passages: pd.DataFrame
    observations: pd.DataFrame
    token_scores: dict[str, pd.DataFrame]
    reconstructions: Sequence[pd.DataFrame]
    tokenizers: dict[str, str]
    pieces: dict[str, dict[int, str]]


@dataclass(frozen=True)
class Content:
    """What lies in the block: words and names as JSON, and arrays.

    In the arrays P passages, C compressors, M models, T tokenizers, W most tokens of a passage, K measures:
    ``domain`` [P]; ``tokens`` [T, P, W], 1 + the place in the list of pieces, and 0 after the passage's last token;
    ``made`` [C, P, W], in tokens of the decoder, 0 where the reconstruction has the passage's token at this place, else
    1 + the place in the list of pieces; ``token_nll`` [M, P, W] in steps of ``NATS_STEP``; ``nll`` [M, P], nats per
    token; ``bucket`` [M, P]; ``scores`` [C, P, K], from the measure's lowest value (0) to its highest (65535).
    """

    words: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def page(content: Content, largest: int = LARGEST) -> str:
    """The HTML file; of more passages than fit into ``largest`` bytes, it holds those whose hashes come first."""
    count = len(content.words["passages"])
    order = np.argsort([hashlib.blake2b(name.encode()).digest() for name in content.words["passages"]])
    while True:
        block = packed(_of(content, np.sort(order[:count])))
        text = _assembled(content.words["study"], block)
        size = len(text.encode())
        if size <= largest or count == 1:
            return text
        count = max(1, int(0.98 * count * largest / size))


def packed(content: Content) -> str:
    """The block, in base64 after raw deflate.

    Before that: the length of the JSON in four bytes, the JSON, and each array where the JSON says, in little-endian.
    """
    where, parts, end = {}, [], 0
    for name, array in content.arrays.items():
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        where[name] = {"type": array.dtype.name, "shape": array.shape, "offset": end}
        parts.append(raw + bytes(-len(raw) % ALIGNED))
        end += len(parts[-1])
    words = json.dumps(content.words | {"arrays": where}, ensure_ascii=False, allow_nan=False).encode()
    words += b" " * (-(len(words) + 4) % ALIGNED)
    packer = zlib.compressobj(level=9, wbits=-15)
    raw = b"".join([len(words).to_bytes(4, "little"), words, *parts])
    return base64.b64encode(packer.compress(raw) + packer.flush()).decode()


def content(spec: ExplorerSpec, tables: Tables) -> Content:
    """Bring the tables of a study into the order of the page: undisturbed passages by name, compressors as in the spec.

    Raises:
        UserError: if a table lacks a passage, model or compressor that another one has.
    """
    rows = tables.observations[tables.observations["variant"] == "normal"]
    known = rows.drop_duplicates("passage_id").sort_values("passage_id").set_index("passage_id")
    names = known.index
    text = tables.passages.set_index("passage_id")
    if not names.isin(text.index).all():
        raise UserError(f"passages: no row for passage {names.difference(text.index)[0]} of the observations")
    text = text.loc[names]
    domains = sorted(known["domain"].unique())
    models = sorted({model for one in spec.compressors for model in (one.encoder_model, one.decoder_model)})
    reads, tokens, made, used = _tokens(spec, tables, models, names)
    by_compressor = {key: part.set_index("passage_id") for key, part in rows.groupby(_COMPRESSOR)}
    found = [_rows_of(by_compressor, one, names) for one in spec.compressors]
    values = np.stack([part[list(LABELS)].to_numpy() for part in found])
    low, high = values.min((0, 1)), values.max((0, 1))
    # A model's scores come with every compressor that it is part of, and are the same in all.
    of_model = {
        getattr(one, f"{side}_model"): part[[f"{side}_nll", f"{side}_bucket"]].to_numpy()
        for one, part in zip(spec.compressors, found, strict=True)
        for side in ("encoder", "decoder")
    }
    by_model = np.stack([of_model[model] for model in models])
    token_nll = np.stack(
        [
            _by_place(tables.token_scores, model, "nll", names).reindex(columns=range(tokens.shape[2]))
            for model in models
        ]
    )
    words = {
        "study": spec.study,
        "measure": spec.measure,
        "of": len(names),
        "nats_step": NATS_STEP,
        "strong": max(1.0, round(float(np.nanquantile(token_nll, 0.95)))),
        "buckets": int(by_model[:, :, 1].max()) + 1,
        "domains": domains,
        "models": models,
        "reads": reads,
        "measures": [
            {"name": name, "label": label, "low": least, "high": most}
            for (name, label), least, most in zip(LABELS.items(), low.tolist(), high.tolist(), strict=True)
        ],
        "compressors": [
            {name: getattr(one, name) for name in _COMPRESSOR}
            | {side: models.index(getattr(one, side)) for side in ("encoder_model", "decoder_model")}
            | {"memory_used": bool(part["memory_used"].iloc[0])}
            for one, part in zip(spec.compressors, found, strict=True)
        ],
        "pieces": used,
        "passages": names.tolist(),
        "sources": known["source"].tolist(),
        "texts": text["text"].tolist(),
    }
    arrays = {
        "domain": np.searchsorted(domains, known["domain"]).astype(np.uint16),
        "tokens": tokens,
        "made": made,
        "token_nll": np.clip(np.rint(np.nan_to_num(token_nll) / NATS_STEP), 0, 255).astype(np.uint8),
        "nll": by_model[:, :, 0].astype(np.float32),
        "bucket": by_model[:, :, 1].astype(np.uint8),
        "scores": np.rint((values - low) / np.where(high > low, high - low, 1) * 65535).astype(np.uint16),
    }
    return Content(words, arrays)


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> dict[int, str]:
    """Text of each token as it stands after another one; a part of a character by its name in the vocabulary."""
    # SentencePiece drops the blank before the first token of a text, so none is looked at alone.
    before = tokenizer("a", add_special_tokens=False)["input_ids"][-1]
    start = tokenizer.decode([before], clean_up_tokenization_spaces=False)
    texts = tokenizer.batch_decode([[before, token] for token in ids], clean_up_tokenization_spaces=False)
    names = tokenizer.convert_ids_to_tokens(list(ids))
    alone = [text.removeprefix(start) for text in texts]
    return {
        token: str(name) if "\ufffd" in text or not text else text
        for token, name, text in zip(ids, names, alone, strict=True)
    }


_OF_PASSAGES = ("passages", "sources", "texts")
_AXIS = {"domain": 0, "tokens": 1, "made": 1, "token_nll": 1, "nll": 1, "bucket": 1, "scores": 1}


def _of(content: Content, places: NDArray[np.intp]) -> Content:
    """Some of the passages."""
    lists = {name: [content.words[name][place] for place in places] for name in _OF_PASSAGES}
    arrays = {name: array.take(places, _AXIS[name]) for name, array in content.arrays.items()}
    return Content(content.words | lists, arrays)


def _assembled(study: str, block: str) -> str:
    here = Path(__file__)
    parts = {kind: here.with_suffix(f".{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    return Template(parts["html"]).substitute(
        study=html.escape(study), style=parts["css"], script=parts["js"], block=block
    )


def _rows_of(by_compressor: dict[Any, pd.DataFrame], described: CompressorDescription, names: pd.Index) -> pd.DataFrame:
    rows = by_compressor.get(tuple(getattr(described, name) for name in _COMPRESSOR))
    if rows is None:
        raise UserError(f"observations: none of {described.name}")
    return _complete(rows, names, f"observations of {described.name}")


def _tokens(
    spec: ExplorerSpec, tables: Tables, models: list[str], names: pd.Index
) -> tuple[list[int], NDArray[Any], NDArray[Any], list[str]]:
    """Which tokenizer each model reads, the arrays ``tokens`` and ``made``, and the list of pieces."""
    tokenizers = sorted({tables.tokenizers[model] for model in models})
    reads = [tokenizers.index(tables.tokenizers[model]) for model in models]
    writes = [reads[models.index(one.decoder_model)] for one in spec.compressors]
    # Models that read the same tokens read the same passages.
    first = [models[reads.index(which)] for which in range(len(tokenizers))]
    passages = [_by_place(tables.token_scores, model, "token_id", names) for model in first]
    width = max(wide.shape[1] for wide in passages)
    ids = _apart(passages, range(len(tokenizers)), width)
    made = _apart([_made(one, names) for one in tables.reconstructions], writes, width)
    assert ((made < 0) == (ids[writes] < 0)).all()  # greedy decoding writes as many tokens as the passage has
    used = np.unique(np.concatenate([ids.ravel(), made.ravel()]))
    used = used[used >= 0]
    small = np.uint16 if len(used) < np.iinfo(np.uint16).max else np.uint32
    tokens = np.searchsorted(used, ids, side="right").astype(small)  # -1 is before all: 0
    # Most tokens are right, and a row of zeros packs well.
    wrong = np.where(made == ids[writes], 0, np.searchsorted(used, made, side="right")).astype(small)
    pieces = [tables.pieces[tokenizers[token // APART]][token % APART] for token in used.tolist()]
    return reads, tokens, wrong, pieces


def _made(rows: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """Token ids of the greedy reconstructions from the passages' own memory by place, -1 after the last."""
    real = _complete(rows[rows["condition"] == "real"].set_index("passage_id"), names, "reconstructions")
    width = real["token_ids"].map(len).max()
    return pd.DataFrame([[*row, *[-1] * (width - len(row))] for row in real["token_ids"]], index=names)


def _by_place(scores: dict[str, pd.DataFrame], model: str, column: str, names: pd.Index) -> pd.DataFrame:
    """What a model says of each passage's tokens, one column per place; empty after the last."""
    if model not in scores:
        raise UserError(f"no token scores of model {model}; there are {', '.join(sorted(scores))}")
    # Not pivot_table, which would take the mean of a token that comes twice.
    wide = scores[model].pivot(index="passage_id", columns="position", values=column)  # noqa: PD010
    return _complete(wide, names, f"token scores of {model}").dropna(axis="columns", how="all")


def _apart(rows: Sequence[pd.DataFrame], tokenizers: Sequence[int], width: int) -> NDArray[np.int64]:
    """Token ids by place, those of different tokenizers apart, and -1 after the last: [rows, P, width]."""
    found = np.stack([one.reindex(columns=range(width)).fillna(-1).to_numpy(np.int64) for one in rows])
    return np.where(found < 0, -1, found + APART * np.array(tokenizers)[:, None, None])


def _complete(rows: pd.DataFrame, names: pd.Index, what: str) -> pd.DataFrame:
    missing = names.difference(rows.index)
    if len(missing):
        raise UserError(f"{what}: no row for passage {missing[0]} (and {len(missing) - 1} more)")
    return rows.loc[names]
