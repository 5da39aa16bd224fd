"""Steps of the entropy room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from contextpress.entropy.passages import NATS_PER_BIT, bucket_edges, buckets, unigram_entropy, zlib_bits_per_byte
from contextpress.entropy.scores import GAP, MODEL_FREE, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.entropy.spec import GapSpec, ScoreSpec
from contextpress.runtime.files import write_text
from contextpress.runtime.tables import ROWS, batches, read_table, write_table, writing
from contextpress.tokens.arrays import counts, load_arrays
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.tokenizer import load_tokenizer


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
            ids = torch.from_numpy(np.stack(frame["token_ids"].tolist())).long()
            scores = score_tokens(loaded, ids, bos)
            length = ids.shape[1]
            for start in range(0, len(frame), rows := max(1, ROWS // length)):
                part = slice(start, start + rows)
                names = frame["passage_id"].iloc[part]
                write(
                    pd.DataFrame(
                        {
                            "passage_id": names.repeat(length),
                            "position": np.tile(np.arange(length, dtype=np.int32), len(names)),
                            "token_id": ids[part].flatten().int(),
                            "nll": scores["nll"][part].flatten(),
                            "predictive_entropy": scores["predictive_entropy"][part].flatten(),
                            "rank": scores["rank"][part].flatten().int(),
                        }
                    )
                )
            nll = scores["nll"].double()
            table = pd.DataFrame(
                {
                    "passage_id": frame["passage_id"],
                    "nll": nll.mean(1),
                    "bits_per_byte": nll.sum(1).numpy() / NATS_PER_BIT / frame["bytes"],
                    "predictive_entropy": scores["predictive_entropy"].double().mean(1),
                    "top1": (scores["rank"] == 1).double().mean(1),
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


def gap(*, spec: GapSpec, models: list[Path], tokenizer: Path, passages: Path, output: Path) -> None:
    """Measure how far apart the two models of every pair are, on the probe set (the validation passages)."""
    import torch

    from contextpress.entropy.score import divergence, score_tokens
    from contextpress.lm.folder import load_model
    from contextpress.runtime.device import prepare

    device = prepare(0)
    probe = [
        row
        for frame in batches([passages], PASSAGES, ["split", "token_ids"])
        for row in frame.loc[frame["split"] == "validation", "token_ids"]
    ]
    ids = torch.from_numpy(np.stack(probe)).long()
    bos = load_tokenizer(tokenizer).bos_token_id
    loaded = {path.name: load_model(path, device) for path in models}
    entropy = {name: float(score_tokens(model, ids, bos)["nll"].double().mean()) for name, model in loaded.items()}
    rows = []
    for pair in spec.pairs:
        forward, backward = divergence(loaded[pair.encoder_model], loaded[pair.decoder_model], ids, bos)
        rows.append(
            {
                "encoder": pair.encoder,
                "decoder": pair.decoder,
                "seed": pair.seed,
                "design": pair.design_gap,
                "kl_encoder_decoder": forward,
                "kl_decoder_encoder": backward,
                "entropy_difference": entropy[pair.decoder_model] - entropy[pair.encoder_model],
            }
        )
    write_table(output, pd.DataFrame(rows), GAP)
