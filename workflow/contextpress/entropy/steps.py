"""Steps of the entropy room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from contextpress.entropy.passages import NATS_PER_BIT, buckets, unigram_entropy, zlib_bits_per_byte
from contextpress.entropy.scores import GAP, MODEL_FREE, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.entropy.spec import GapSpec, ScoreSpec
from contextpress.runtime.files import write_text
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.arrays import load_arrays
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
    frame = pd.concat([read_table(path, PASSAGES) for path in passages], ignore_index=True)
    ids = torch.from_numpy(np.stack(frame["token_ids"].tolist())).long()
    bos = load_tokenizer(tokenizer).bos_token_id
    scores = score_tokens(load_model(model, device), ids, bos)
    length = ids.shape[1]
    tokens = pd.DataFrame(
        {
            "passage_id": frame["passage_id"].repeat(length),
            "position": np.tile(np.arange(length, dtype=np.int32), len(frame)),
            "token_id": ids.flatten().int(),
            "nll": scores["nll"].flatten(),
            "predictive_entropy": scores["predictive_entropy"].flatten(),
            "rank": scores["rank"].flatten().int(),
        }
    )
    write_table(tokens_output, tokens, TOKEN_SCORES)
    nll = scores["nll"].double()
    table = pd.DataFrame(
        {
            "passage_id": frame["passage_id"],
            "model": spec.model,
            "nll": nll.mean(1),
            "bits_per_byte": nll.sum(1).numpy() / NATS_PER_BIT / frame["bytes"],
            "predictive_entropy": scores["predictive_entropy"].double().mean(1),
            "top1": (scores["rank"] == 1).double().mean(1),
        }
    )
    analysed = (frame["split"] == "test") & (frame["variant"] == "normal")
    table["bucket"] = buckets(table["nll"], table.loc[analysed, "nll"], spec.buckets)
    write_table(output, table, PASSAGE_SCORES)


def perplexity(*, passages: Path, scores: list[Path], output: Path) -> None:
    """Write how well each model predicts the test passages of each domain."""
    frame = read_table(passages, PASSAGES, ["passage_id", "domain", "split"])
    parts = [read_table(path, PASSAGE_SCORES).merge(frame[frame["split"] == "test"]) for path in scores]
    grouped = pd.concat(parts).groupby(["model", "domain"])
    table = grouped.agg(passages=("nll", "size"), nll=("nll", "mean"), bits_per_byte=("bits_per_byte", "mean"))
    table.insert(2, "perplexity", np.exp(table["nll"]))
    write_text(output, table.reset_index().to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def model_free(*, passages: list[Path], arrays: list[Path], tokenizer: Path, output: Path) -> None:
    """Score all passages by unigram frequency and by zlib."""
    frame = pd.concat([read_table(path, PASSAGES) for path in passages], ignore_index=True)
    vocabulary = len(load_tokenizer(tokenizer))
    counts = sum(np.bincount(load_arrays(path)["ids"], minlength=vocabulary) for path in arrays)
    table = pd.DataFrame(
        {
            "passage_id": frame["passage_id"],
            "unigram_entropy": unigram_entropy(frame["token_ids"].tolist(), np.asarray(counts)),
            "zlib_bits_per_byte": frame["text"].map(zlib_bits_per_byte),
        }
    )
    write_table(output, table, MODEL_FREE)


def gap(*, spec: GapSpec, models: list[Path], tokenizer: Path, passages: Path, output: Path) -> None:
    """Measure how far apart the two models of every pair are, on the probe set (the validation passages)."""
    import torch

    from contextpress.entropy.score import divergence, score_tokens
    from contextpress.lm.folder import load_model
    from contextpress.runtime.device import prepare

    device = prepare(0)
    frame = read_table(passages, PASSAGES)
    frame = frame[frame["split"] == "validation"]
    ids = torch.from_numpy(np.stack(frame["token_ids"].tolist())).long()
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
