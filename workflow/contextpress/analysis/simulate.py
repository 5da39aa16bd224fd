"""Whole observations tables with planted effects: what the tests of the claims are tested on.

Text is difficult to some degree (domain, document, passage), and every model sees that difficulty with errors of its
own, so that the entropies of encoder and decoder are nearly collinear. Quality is linear in both, in the gap, and in
effects of domain, document, passage, trained model and pair. Difficult domains may well be the better reconstructed
ones: then the pooled correlation has the wrong sign.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from contextpress.analysis.observations import CONTROLS, OBSERVATIONS
from contextpress.analysis.panel import Array
from contextpress.reconstruction.table import MEASURES

SIXTHS = 6


@dataclass(frozen=True)
class Study:
    """A study to draw. Quality is ``token_f1``, on a scale of 0 to 1; entropies are in nats per token.

    Attributes:
        domains: names; their mean difficulty rises in this order.
        documents: per domain.
        passages: per document.
        encoders: replaced share of each encoder's data, in sixths.
        decoders: of each decoder's data.
        ratios: compression ratios.
        seeds: training seeds.
        encoder_slope: quality per standard deviation (within domain) of the encoder's entropy: C1.
        decoder_slope: the same of the decoder's entropy: against C2.
        gap_slope: quality per sixth of replaced data: C3.
        domain_slope: quality per nat of a domain's mean difficulty: the confounder.
        own_view: standard deviation of a model's own error about difficulty; 0 makes the entropies collinear.
        document_noise: of quality, shared by the passages of a document and by all compressors.
        passage_noise: of quality, shared by all compressors.
        residual_noise: of quality.
        model_noise: of each trained encoder and decoder.
        pair_noise: of each trained pair.
        seed_gap_noise: of the gap's slope between seeds.
        idle: number of compressors (the last ones) that ignore their memory.
        seed: of the drawing.
    """

    domains: tuple[str, ...] = ("prose", "code", "maths")
    documents: int = 60
    passages: int = 4
    encoders: tuple[int, ...] = (0, 2, 5)
    decoders: tuple[int, ...] = (0, 2, 5)
    ratios: tuple[int, ...] = (4,)
    seeds: tuple[int, ...] = (0, 1)
    encoder_slope: float = 0.0
    decoder_slope: float = 0.0
    gap_slope: float = 0.0
    domain_slope: float = 0.15
    own_view: float = 0.1
    document_noise: float = 0.03
    passage_noise: float = 0.03
    residual_noise: float = 0.05
    model_noise: float = 0.02
    pair_noise: float = 0.008
    seed_gap_noise: float = 0.0
    idle: int = 0
    seed: int = 0


# What a study may hide: an effect of the encoder's entropy, of the decoder's, of both, of the gap, or nothing.
PLANTED = {
    "none": Study(),
    "encoder": Study(encoder_slope=-0.03),
    "decoder": Study(decoder_slope=-0.03),
    "both": Study(encoder_slope=-0.03, decoder_slope=-0.03),
    "gap": Study(gap_slope=-0.02),
}
_DOCUMENT, _PASSAGE, _SHARED = 0.15, 0.25, 0.05  # standard deviations of difficulty, nats per token
_DOMAIN_STEP = 0.5  # difference of mean difficulty between neighbouring domains, nats per token


def planted(kind: str, seed: int = 0) -> Study:
    """One of the PLANTED studies, drawn with ``seed``."""
    return replace(PLANTED[kind], seed=seed)


def simulate(study: Study) -> pd.DataFrame:
    """Draw a table with the schema OBSERVATIONS."""
    generator = np.random.default_rng(study.seed)
    text, difficulty, lean = _text(study, generator)
    count = len(text)
    code = text["domain_number"].to_numpy()
    shared = _by_document(text, study.document_noise, generator) + generator.normal(0, study.passage_noise, count)
    domain_quality = study.domain_slope * _DOMAIN_STEP * (np.arange(len(study.domains)) - len(study.domains) / 2 + 0.5)
    seed_slope = {seed: study.gap_slope + generator.normal(0, study.seed_gap_noise) for seed in study.seeds}
    views, effects = {}, {}
    for side, shares in (("encoder", study.encoders), ("decoder", study.decoders)):
        for seed, share in itertools.product(study.seeds, shares):
            views[side, seed, share] = _entropy(study, difficulty, lean, code, share, generator)
            effects[side, seed, share] = generator.normal(0, study.model_noise)
    parts = []
    pairs = list(itertools.product(study.seeds, study.encoders, study.decoders))
    for number, (seed, encoder, decoder) in enumerate(pairs):
        own = generator.normal(0, study.pair_noise)
        for ratio in study.ratios:
            sixths = abs(encoder - decoder)
            x, z = views["encoder", seed, encoder], views["decoder", seed, decoder]
            quality = (
                0.6
                + domain_quality[code]
                + study.encoder_slope * _standard(x, code)
                + study.decoder_slope * _standard(z, code)
                + seed_slope[seed] * sixths
                + effects["encoder", seed, encoder]
                + effects["decoder", seed, decoder]
                + own
                + shared
                + generator.normal(0, study.residual_noise, count)
                - 0.05 * np.log2(ratio / study.ratios[0])
            )
            idle = number >= len(pairs) - study.idle
            part = _measures(np.full(count, 0.2) if idle else quality, z, generator)
            parts.append(
                text.assign(
                    encoder=f"D{encoder + 1}",
                    decoder=f"D{decoder + 1}",
                    readout="memory_tokens",
                    ratio=ratio,
                    seed=seed,
                    decoder_training="frozen",
                    memory_used=not idle,
                    encoder_replaced=encoder / SIXTHS,
                    decoder_replaced=decoder / SIXTHS,
                    gap_design=sixths / SIXTHS,
                    gap_kl_encoder_decoder=0.05 * sixths + 0.02,
                    gap_kl_decoder_encoder=0.06 * sixths + 0.02,
                    gap_entropy_difference=float(np.mean(z - x)),
                    **_entropies("encoder", x, text),
                    **_entropies("decoder", z, text),
                    **part,
                    information_retained=1 - part["nll"] / z,
                )
            )
    table = pd.concat(parts, ignore_index=True)[OBSERVATIONS.names]
    key = ["encoder", "decoder", "readout", "ratio", "decoder_training", "seed", "passage_id"]
    return table.sort_values(key, kind="stable").reset_index(drop=True)


def _text(study: Study, generator: np.random.Generator) -> tuple[pd.DataFrame, Array, Array]:
    """Passages, their difficulty [P] and how much models of formal text see in them beyond it [P]."""
    rows = [
        (f"{domain}/{document:06d}:{64 * passage}", f"{domain}/{document:06d}", domain, number)
        for number, domain in enumerate(study.domains)
        for document in range(study.documents)
        for passage in range(study.passages)
    ]
    text = pd.DataFrame(rows, columns=["passage_id", "document_id", "domain", "domain_number"])
    count = len(text)
    difficulty = (
        3.0
        + _DOMAIN_STEP * text["domain_number"].to_numpy()
        + _by_document(text, _DOCUMENT, generator)
        + generator.normal(0, _PASSAGE, count)
    )
    text = text.assign(
        source=text["document_id"],
        variant="normal",
        tokens=64,
        bytes=generator.integers(180, 260, count),
        entropy_rate=np.nan,
        unigram_entropy=difficulty + 2 + generator.normal(0, 0.2, count),
        zlib_bits_per_byte=difficulty / 2 + 2 + generator.normal(0, 0.1, count),
    )
    return text, difficulty, generator.normal(0, _SHARED, count)


def _by_document(text: pd.DataFrame, deviation: float, generator: np.random.Generator) -> Array:
    codes = text["document_id"].factorize()[0]
    return generator.normal(0, deviation, codes.max() + 1)[codes]


def _entropy(
    study: Study, difficulty: Array, lean: Array, code: Array, share: int, generator: np.random.Generator
) -> Array:
    """Entropy [P] of the passages under a model whose data have ``share`` sixths of formal text."""
    formal = code / max(1, len(study.domains) - 1)
    familiar = 0.4 * (share / (SIXTHS - 1) - formal) ** 2
    return difficulty + familiar + lean * share / SIXTHS + generator.normal(0, study.own_view, len(difficulty))


def _standard(values: Array, code: Array) -> Array:
    frame = pd.Series(values).groupby(code)
    scale = frame.transform("std").fillna(1.0)  # one passage alone in its domain
    return ((pd.Series(values) - frame.transform("mean")) / scale).to_numpy()


def _entropies(side: str, nll: Array, text: pd.DataFrame) -> dict[str, Array]:
    edges = np.quantile(nll, [0.25, 0.5, 0.75])
    return {
        f"{side}_nll": nll,
        f"{side}_bits_per_byte": nll * text["tokens"].to_numpy() / text["bytes"].to_numpy() / np.log(2),
        f"{side}_predictive_entropy": nll * 0.95,
        f"{side}_bucket": np.searchsorted(edges, nll),
    }


def _measures(quality: Array, decoder_nll: Array, generator: np.random.Generator) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for condition in ("real", *CONTROLS):
        noise = generator.normal(0, 0.02, len(quality))
        level = quality if condition == "real" else np.full(len(quality), 0.2) + noise
        ending = "" if condition == "real" else f"_{condition}"
        bounded = np.clip(level, 0.0, 1.0)
        made = dict.fromkeys(MEASURES, bounded) | {
            "nll": decoder_nll * (1 - bounded),
            "bleu": 100 * bounded**2,
            "chrf": 100 * bounded,
            "token_f1": level,  # not bounded, so that a planted slope is the true slope
            "prefix_match": bounded**4,
            "exact_match": (bounded > 0.95).astype(np.float64),
        }
        found |= {f"{name}{ending}": values for name, values in made.items()}
    return found
