"""A made-up study: what figures and report are tried on. Entropy and gap lower quality; decoder entropy does not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from contextpress.analysis.observations import CONTROLS, OBSERVATIONS
from contextpress.reconstruction.table import CRAMMED, MEASURES
from contextpress.tokens.passages import VARIANTS

REPLACED = {f"D{number + 1}": number / 6 for number in range(6)}
DOMAINS = {"prose": 3.2, "apiref": 2.9, "code": 2.6, "tests": 2.3, "config": 2.0, "tables": 3.6}
_EASIER = {"prose": 0.3, "apiref": 0.1, "code": -0.3, "tests": 0.2, "config": -0.6, "tables": 0.5}
_WORSE = {"normal": 0.0, "words_shuffled": 1.2, "reversed": 1.5, "ids_plus_1": 2.6, "random_ids": 3.4}


def observations(
    models: tuple[str, ...] = ("D1", "D3", "D6"),
    domains: tuple[str, ...] = tuple(DOMAINS),
    passages: int = 120,
    ladder: int = 20,
    ratios: tuple[int, ...] = (4, 8),
    seeds: tuple[int, ...] = (0, 1),
    used: bool = True,
) -> pd.DataFrame:
    """A table of the schema OBSERVATIONS; ``ladder`` passages of each domain also come in the other variants."""
    draw = np.random.default_rng(7)
    text = pd.concat([_passages(draw, domain, passages, ladder) for domain in domains], ignore_index=True)
    worse = text["variant"].map(_WORSE).to_numpy()
    nll = {(model, seed): _nll(draw, text, model) + 1.4 * worse for model, seed in product(models, seeds)}
    parts = []
    for encoder, decoder, ratio, seed in product(models, models, ratios, seeds):
        gap = abs(REPLACED[encoder] - REPLACED[decoder])
        h_e, h_d = nll[encoder, seed], nll[decoder, seed]
        merit = (
            2.6
            - 0.55 * h_e
            - 0.9 * gap
            - 0.22 * ratio
            - 0.15 * REPLACED[decoder]
            + draw.normal(0, 0.8, len(text))
            + draw.normal(0, 0.15)
        )
        merit += text["domain"].map(_EASIER).to_numpy()
        shown = {"": merit, "_shuffled": merit * 0 - 2.4, "_zeroed": merit * 0 - 2.8}
        shown["_truncated"] = -1.9 + 2 / ratio + draw.normal(0, 0.2, len(text))
        part = text.assign(encoder=encoder, decoder=decoder, ratio=ratio, seed=seed, readout="memory_tokens")
        part = part.assign(decoder_training="frozen", memory_used=used, gap_design=gap)
        part = part.assign(encoder_replaced=REPLACED[encoder], decoder_replaced=REPLACED[decoder])
        part = part.assign(gap_kl_encoder_decoder=gap * 0.8, gap_kl_decoder_encoder=gap * 0.7)
        part = part.assign(gap_entropy_difference=h_d.mean() - h_e.mean())
        for side, values in (("encoder", h_e), ("decoder", h_d)):
            part[f"{side}_nll"] = values
            part[f"{side}_bits_per_byte"] = values * part["tokens"] / part["bytes"] / np.log(2)
            part[f"{side}_predictive_entropy"] = values * 0.95
            edges = np.quantile(values[worse == 0], [0.2, 0.4, 0.6, 0.8])
            part[f"{side}_bucket"] = np.searchsorted(edges, values, side="right")
        for name, value in shown.items():
            share = 1 / (1 + np.exp(-value)) * (1 + draw.normal(0, 0.03, len(text))).clip(0, 1)
            loss = h_d * (1.02 - 0.9 * share)
            for measure in MEASURES:
                part[f"{measure}{name}"] = (
                    loss if measure == "nll" else share * (100 if measure in ("bleu", "chrf") else 1)
                )
        part["information_retained"] = 1 - part["nll"] / part["decoder_nll"]
        parts.append(part.drop(columns="_hardness"))
    table = pd.concat(parts, ignore_index=True)
    types = {
        field.name: field.type.to_pandas_dtype() for field in OBSERVATIONS if str(field.type) in ("int32", "double")
    }
    assert set(CONTROLS) == {"shuffled", "zeroed", "truncated"}
    return table.astype(types)[OBSERVATIONS.names]


# Domain by domain: how it was generated, and its true entropy rate in nats per token.
RATES = {
    "prose": ("markov", 0.5),
    "apiref": ("markov", 1.0),
    "code": ("grammar", 1.5),
    "tests": ("markov", 2.0),
    "config": ("markov", 3.0),
    "tables": ("uniform", 3.5),
}


def generated(
    passages: int = 24, ratios: tuple[int, ...] = (4, 8), domains: tuple[str, ...] = tuple(RATES)
) -> pd.DataFrame:
    """A table of the schema OBSERVATIONS of text of known entropy: token F1 falls by 0.2 per nat of the true rate.

    Encoders measure 0.3 nats too much, and passages scatter around that by 0.2; what they measure beyond the rate does
    not matter to quality.
    """
    rows = observations(("D1", "D6"), domains, passages, ladder=0, ratios=ratios)
    draw = np.random.default_rng(11)
    names = rows["passage_id"].unique()
    words = dict(zip(names, draw.normal(1, 0.01, len(names)), strict=True))
    surprise = dict(zip(names, draw.normal(0, 0.2, len(names)), strict=True))
    family, rate = (rows["domain"].map({name: known[part] for name, known in RATES.items()}) for part in (0, 1))
    rate = rate * rows["passage_id"].map(words)
    found = rate + 0.3 + rows["passage_id"].map(surprise) + draw.normal(0, 0.01, len(rows))
    quality = 0.95 - 0.2 * rate - 0.01 * rows["ratio"] + 0.01 * rows["seed"] + draw.normal(0, 0.02, len(rows))
    source = family + "/" + rows["document_id"]
    return rows.assign(entropy_rate=rate, source=source, encoder_nll=found, token_f1=quality)


def crammed(rows: pd.DataFrame, passages: int = 8, vectors: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    """A table of the schema CRAMMED for the first undisturbed passages of each domain: 20 nats per vector fit."""
    rows = rows[rows["variant"] == "normal"].drop_duplicates(["decoder", "seed", "passage_id"])
    rows = rows.groupby(["decoder", "seed", "domain"]).head(passages)
    parts = []
    for count in vectors:
        exact = np.minimum(20 * count / rows["decoder_nll"], rows["tokens"]).astype(np.int32)
        part = rows[["passage_id"]].assign(
            decoder=rows["decoder"] + "-s" + (rows["seed"] ^ 1).astype(str),
            vectors=count,
            tokens_aimed=(exact + 1).clip(upper=32),
            tokens_exact=exact,
            tokens_correct=(exact + 2).clip(upper=32),
            nats_held=exact * rows["decoder_nll"],
            steps=200,
        )
        parts.append(part)
    whole = {field.name: "int32" for field in CRAMMED if str(field.type) == "int32"}
    return pd.concat(parts, ignore_index=True).astype(whole)


def history(steps: int, start: float, end: float, plateau: float, seed: int) -> pd.DataFrame:
    """Losses of a training that sits on a plateau before it learns; schema HISTORY."""
    step = np.arange(steps)
    fall = 1 / (1 + np.exp((step - plateau * steps) / (0.05 * steps)))
    loss = end + (start - end) * fall + 2.0 * np.exp(-step / (0.01 * steps))
    noise = np.random.default_rng(seed).normal(0, 0.05, steps)
    return pd.DataFrame({"step": step.astype(np.int32), "loss": loss + noise})


def _passages(draw: np.random.Generator, domain: str, passages: int, ladder: int) -> pd.DataFrame:
    number = np.arange(passages)
    document = number // 2
    normal = pd.DataFrame(
        {
            "passage_id": [f"{domain}/{place:06d}:{32 * (n % 2)}" for n, place in zip(number, document, strict=True)],
            "document_id": [f"{domain}/{place:06d}" for place in document],
            "domain": domain,
            "source": [f"{domain}-{place // 3}.txt" for place in document],
            "variant": "normal",
            "tokens": 32,
            "bytes": draw.integers(80, 160, passages),
            "entropy_rate": np.nan,
            "unigram_entropy": draw.normal(6, 0.3, passages),
            "zlib_bits_per_byte": draw.normal(4, 0.3, passages),
            "_hardness": DOMAINS[domain]
            + draw.normal(0, 0.3, passages // 2 + 1)[document]
            + draw.normal(0, 0.45, passages),
        }
    )
    others = [
        normal.iloc[:ladder].assign(variant=name, passage_id=normal["passage_id"].iloc[:ladder] + f"/{name}")
        for name in VARIANTS[1:]
    ]
    return pd.concat([normal, *others], ignore_index=True)


def _nll(draw: np.random.Generator, text: pd.DataFrame, model: str) -> np.ndarray:
    formal = text["domain"].isin(["code", "tests", "config"]).to_numpy()
    foreign = np.where(formal, 1 - REPLACED[model], REPLACED[model])
    return (text["_hardness"] + 0.8 * foreign + draw.normal(0, 0.12, len(text))).clip(0.2).to_numpy()
