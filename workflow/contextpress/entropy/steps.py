"""Steps of the entropy room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from contextpress.entropy.passages import NATS_PER_BIT, bucket_edges, buckets, unigram_entropy, zlib_bits_per_byte
from contextpress.entropy.scores import GAP, GAP_OF_SEVERAL, MODEL_FREE, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.entropy.spec import GapSpec, ScoreSpec
from contextpress.runtime.files import write_text
from contextpress.runtime.tables import ROWS, batches, complete, read_table, write_table, writing
from contextpress.tokens.arrays import counts, load_arrays
from contextpress.tokens.own import padded
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.tokenizer import load_tokenizer

OTHER_TOKENS = "encoder and decoder have different tokenizers: no token is common to both"


def score(
    *, spec: ScoreSpec, model: Path, tokenizer: Path, passages: list[Path], output: Path, tokens_output: Path
) -> None:
    """Score all passages, and each of their tokens, under one model."""
    # Imported here and in `gap`: the other steps need no torch, and would wait for it.
    import torch

    from contextpress.entropy.score import score_tokens
    from contextpress.lm.folder import load_model
    from contextpress.runtime.device import prepare

    device = prepare(0)
    bos = load_tokenizer(tokenizer).bos_token_id
    loaded = load_model(model, device)
    parts = []
    columns = ["passage_id", "split", "variant", "token_ids", "bytes"]
    with writing(tokens_output, TOKEN_SCORES) as write:
        for frame in batches(passages, PASSAGES, columns):
            ids, lengths = (torch.from_numpy(array) for array in padded(frame["token_ids"].tolist(), bos))
            scores = score_tokens(loaded, ids, bos)
            length = ids.shape[1]
            there = torch.arange(length) < lengths[:, None]
            for start in range(0, len(frame), rows := max(1, ROWS // length)):
                part = slice(start, start + rows)
                own, counts_of = there[part], lengths[part].tolist()
                write(
                    pd.DataFrame(
                        {
                            "passage_id": frame["passage_id"].iloc[part].repeat(counts_of),
                            "position": np.concatenate([np.arange(count, dtype=np.int32) for count in counts_of]),
                            "token_id": ids[part][own].int(),
                            "nll": scores["nll"][part][own],
                            "predictive_entropy": scores["predictive_entropy"][part][own],
                            "rank": scores["rank"][part][own].int(),
                        }
                    )
                )
            totals = {
                name: torch.where(there, each, 0).double().sum(1)
                for name, each in (scores | {"top1": scores["rank"] == 1}).items()
            }
            table = pd.DataFrame(
                {
                    "passage_id": frame["passage_id"],
                    "nll": totals["nll"] / lengths,
                    "bits_per_byte": totals["nll"].numpy() / NATS_PER_BIT / frame["bytes"],
                    "predictive_entropy": totals["predictive_entropy"] / lengths,
                    "top1": totals["top1"] / lengths,
                    "analysed": (frame["split"] == "test") & (frame["variant"] == "normal"),
                }
            )
            parts.append(pa.Table.from_pandas(table, preserve_index=False))
    # Quantiles need all passages: six columns of them are held, the texts and tokens are not.
    whole = pa.concat_tables(parts)
    nll = whole["nll"].to_numpy()
    edges = bucket_edges(nll[whole["analysed"].to_numpy()], spec.buckets)
    with writing(output, PASSAGE_SCORES) as write:
        for part in parts:
            table = part.to_pandas().drop(columns="analysed")
            write(table.assign(model=spec.model, bucket=buckets(table["nll"], edges)))


def perplexity(*, passages: Path, scores: list[Path], output: Path) -> None:
    """Write how well each model predicts the test passages of each domain."""
    frame = pd.concat(
        part.loc[part["split"] == "test", ["passage_id", "domain"]]
        for part in batches([passages], PASSAGES, ["passage_id", "domain", "split"])
    )
    tables = []
    for path in scores:
        grouped = read_table(path, PASSAGE_SCORES).merge(frame).groupby(["model", "domain"])
        tables.append(
            grouped.agg(passages=("nll", "size"), nll=("nll", "mean"), bits_per_byte=("bits_per_byte", "mean"))
        )
    table = pd.concat(tables).sort_index()
    table.insert(2, "perplexity", np.exp(table["nll"]))
    write_text(output, table.reset_index().to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def model_free(*, passages: list[Path], arrays: list[Path], tokenizer: Path, output: Path) -> None:
    """Score all passages by unigram frequency and by zlib."""
    vocabulary = len(load_tokenizer(tokenizer))
    found = sum(counts(load_arrays(path)["ids"], vocabulary) for path in arrays)
    with writing(output, MODEL_FREE) as write:
        for frame in batches(passages, PASSAGES, ["passage_id", "text", "token_ids"]):
            write(
                pd.DataFrame(
                    {
                        "passage_id": frame["passage_id"],
                        "unigram_entropy": unigram_entropy(frame["token_ids"].tolist(), np.asarray(found)),
                        "zlib_bits_per_byte": frame["text"].map(zlib_bits_per_byte),
                    }
                )
            )


def gap(*, spec: GapSpec, models: list[Path], tokenizers: list[Path], passages: list[Path], output: Path) -> None:
    """Measure how far apart the two models of every pair are, on the probe set (the validation passages).

    ``tokenizers`` and ``passages`` are, model by model, what it reads. What needs one set of tokens is left empty for a
    pair that has two.
    """
    import torch

    from contextpress.entropy.score import divergence, score_tokens
    from contextpress.lm.folder import load_model
    from contextpress.runtime.device import prepare

    device = prepare(0)
    loaded = {path.name: load_model(path, device) for path in models}
    words = {path.name: load_tokenizer(folder) for path, folder in zip(models, tokenizers, strict=True)}
    probes, entropy = {}, {}
    for path, source in zip(models, passages, strict=True):
        bos = words[path.name].bos_token_id
        probe = [
            row
            for frame in batches([source], PASSAGES, ["split", "token_ids"])
            for row in frame.loc[frame["split"] == "validation", "token_ids"]
        ]
        ids, lengths = (torch.from_numpy(array) for array in padded(probe, bos))
        nll = score_tokens(loaded[path.name], ids, bos)["nll"][torch.arange(ids.shape[1]) < lengths[:, None]]
        probes[path.name], entropy[path.name] = (ids, lengths), float(nll.double().mean())
    rows = []
    for pair in spec.pairs:
        encoder, decoder = pair.encoder_model, pair.decoder_model
        row: dict[str, object] = {
            "encoder": pair.encoder,
            "decoder": pair.decoder,
            "seed": pair.seed,
            "design": pair.design_gap,
            "kl_encoder_decoder": None,
            "kl_decoder_encoder": None,
            "entropy_difference": None,
            "not_available": OTHER_TOKENS,
        }
        if words[encoder].get_vocab() == words[decoder].get_vocab():
            ids, lengths = probes[decoder]
            bos = words[decoder].bos_token_id
            forward, backward = divergence(loaded[encoder], loaded[decoder], ids, bos, lengths)
            row |= {
                "kl_encoder_decoder": forward,
                "kl_decoder_encoder": backward,
                "entropy_difference": entropy[decoder] - entropy[encoder],
                "not_available": None,
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    if len(set(tokenizers)) == 1:
        write_table(output, table.drop(columns="not_available"), complete(GAP, "entropy_difference"))
    else:
        numbers = dict.fromkeys(["kl_encoder_decoder", "kl_decoder_encoder", "entropy_difference"], "float64")
        write_table(output, table.astype(numbers), GAP_OF_SEVERAL)
