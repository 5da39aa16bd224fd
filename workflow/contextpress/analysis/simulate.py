"""Whole observations tables with planted effects: what the tests of the claims are tested on.

Text is difficult to some degree (domain, document, passage), and every model sees that difficulty with errors of its
own, so that the entropies of encoder and decoder are nearly collinear. Quality is linear in both, in the gap, and in
effects of domain, document, passage, trained model and pair; how far it follows a model's own errors differs between
trained models and pairs. Difficult domains may well be the better reconstructed ones: then the pooled correlation has
the wrong sign.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from contextpress.analysis.observations import CONTROLS, OBSERVATIONS
from contextpress.analysis.panel import Array, Codes
from contextpress.reconstruction.table import MEASURES

SIXTHS = 6


@dataclass(frozen=True)
class Study:
    """A study to draw. Quality is ``token_f1``, on a scale of 0 to 1; entropies are in nats per token.

    As in a real study, a language model is the encoder of one seed and the decoder of the seed before it.

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
        shared_slope: the same of the mean entropy under all decoders of a seed: what is hard for decoders in general,
            which the decoder-swap design cannot see.
        gap_slope: quality per sixth of replaced data: C3.
        domain_slope: quality per nat of a domain's mean difficulty: the confounder.
        own_view: standard deviation of a model's own error about difficulty; 0 makes the entropies collinear.
        document_noise: of quality, shared by the passages of a document and by all compressors.
        passage_noise: of quality, shared by all compressors.
        residual_noise: of quality.
        model_noise: of each trained encoder and decoder.
        pair_noise: of each trained pair.
        view_noise: of how far quality follows a model's own errors about difficulty, in quality per standard deviation
            of them: between trained encoders, between trained decoders, and between pairs. The correlations of
            training runs differ by it; 0.002 makes them differ as those of the default study's compressors do.
        seed_gap_noise: of the gap's slope between seeds.
        idle: number of pairs (the last ones) that ignore their memory.
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
    shared_slope: float = 0.0
    gap_slope: float = 0.0
    domain_slope: float = 0.15
    own_view: float = 0.1
    document_noise: float = 0.03
    passage_noise: float = 0.03
    residual_noise: float = 0.05
    model_noise: float = 0.02
    pair_noise: float = 0.008
    view_noise: float = 0.002
    seed_gap_noise: float = 0.0
    idle: int = 0
    seed: int = 0

    @property
    def decoder_of(self) -> dict[int, int]:
        """Seed of the language model that each seed's decoder is: the next one, so that no pair shares weights."""
        if len(self.seeds) == 1:
            return {self.seeds[0]: self.seeds[0] + 1}
        return dict(zip(self.seeds, [*self.seeds[1:], self.seeds[0]], strict=True))


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
_TOKENS = 64
Cell = tuple[int, int, int, int]  # encoder, decoder, ratio, seed
_MEAN = 3.0  # of difficulty in the first domain


def planted(kind: str, seed: int = 0) -> Study:
    """One of the PLANTED studies, drawn with ``seed``."""
    return replace(PLANTED[kind], seed=seed)


def simulate(study: Study) -> pd.DataFrame:
    """Draw a table with the schema OBSERVATIONS, sorted as ``join`` sorts it."""
    generator = np.random.default_rng(study.seed)
    text, code, difficulty, lean = _text(study, generator)
    count = len(text)
    shared = _by_document(text, study.document_noise, generator) + generator.normal(0, study.passage_noise, count)
    domain_quality = study.domain_slope * _DOMAIN_STEP * (np.arange(len(study.domains)) - len(study.domains) / 2 + 0.5)
    shares = sorted({*study.encoders, *study.decoders})
    views = {
        (seed, share): View.of(study, difficulty, lean, code, share, generator)
        for seed, share in itertools.product(sorted({*study.seeds, *study.decoder_of.values()}), shares)
    }
    cells = list(itertools.product(study.encoders, study.decoders, study.ratios, study.seeds))
    trained = _Trained.of(study, generator)
    quality = np.array([domain_quality[code] + shared + trained.quality(study, cell, views) for cell in cells])
    quality += 0.6 + generator.normal(0, study.residual_noise, quality.shape)
    frame = _compressors(study, cells, views)
    encoder_nll = np.array([views[seed, encoder].nll for encoder, _, _, seed in cells])
    decoder_nll = np.array([views[study.decoder_of[seed], decoder].nll for _, decoder, _, seed in cells])
    quality[~frame["memory_used"].to_numpy()] = 0.2
    measures = _measures(quality, decoder_nll, generator)
    measures["information_retained"] = 1 - measures["nll"] / decoder_nll
    entropies = _entropies("encoder", encoder_nll, text) | _entropies("decoder", decoder_nll, text)
    columns = {name: values.ravel() for name, values in (measures | entropies).items()}
    table = pd.concat(
        [
            text.iloc[np.tile(np.arange(count), len(cells))].reset_index(drop=True),
            frame.iloc[np.repeat(np.arange(len(cells)), count)].reset_index(drop=True),
            pd.DataFrame(columns),
        ],
        axis=1,
    )
    return table[OBSERVATIONS.names]


def variance_of_view(study: Study, shares: Sequence[int]) -> float:
    """Variance within domain of the mean of the entropies under independent models of these shares of formal text."""
    lean = _SHARED * float(np.mean(shares)) / SIXTHS
    return _DOCUMENT**2 + _PASSAGE**2 + lean**2 + study.own_view**2 / len(shares)


def covariance_of_views(study: Study, one: Sequence[int], two: Sequence[int]) -> float:
    """Covariance within domain of two such means, if they share no model."""
    lean = _SHARED**2 * float(np.mean(one)) * float(np.mean(two)) / SIXTHS**2
    return _DOCUMENT**2 + _PASSAGE**2 + lean


@dataclass(frozen=True)
class View:
    """How a language model sees the passages.

    Attributes:
        nll: [P] their entropy.
        standard: [P] the same in standard deviations within domain.
        own: [P] the model's own errors, in standard deviations.
    """

    nll: Array
    standard: Array
    own: Array

    @classmethod
    def of(
        cls, study: Study, difficulty: Array, lean: Array, code: Codes, share: int, generator: np.random.Generator
    ) -> View:
        """The view of a model whose data have ``share`` sixths of formal text."""
        formal = code / max(1, len(study.domains) - 1)
        mean = _MEAN + _DOMAIN_STEP * code + 0.4 * (share / (SIXTHS - 1) - formal) ** 2
        own = generator.normal(0, 1, len(difficulty))
        around = difficulty + lean * share / SIXTHS + study.own_view * own
        return cls(mean + around, around / math.sqrt(variance_of_view(study, [share])), own)


@dataclass(frozen=True)
class _Trained:
    """What training gave by chance, by run: ("encoder", seed, share), ("decoder", seed, share), ("pair", ...)."""

    levels: dict[tuple[object, ...], float]
    follows: dict[tuple[object, ...], Array]  # how far quality follows the own errors of encoder and decoder
    gap: dict[int, float]  # slope of the gap, by seed

    @classmethod
    def of(cls, study: Study, generator: np.random.Generator) -> _Trained:
        """Draw it."""
        sides = [("encoder", study.encoders), ("decoder", study.decoders)]
        single = [(side, seed, share) for side, shares in sides for seed in study.seeds for share in shares]
        pairs = [("pair", *key) for key in itertools.product(study.seeds, study.encoders, study.decoders)]
        levels: dict[tuple[object, ...], float] = {run: generator.normal(0, study.model_noise) for run in single}
        levels |= {run: generator.normal(0, study.pair_noise) for run in pairs}
        follows = {run: generator.normal(0, study.view_noise, 2) for run in levels}
        gap = {seed: study.gap_slope + generator.normal(0, study.seed_gap_noise) for seed in study.seeds}
        return cls(levels, follows, gap)

    def quality(self, study: Study, cell: Cell, views: dict[tuple[int, int], View]) -> Array:
        """Quality [P] of a compressor (encoder, decoder, ratio, seed) beyond that of its text."""
        encoder, decoder, ratio, seed = cell
        runs: list[tuple[object, ...]] = [("encoder", seed, encoder), ("decoder", seed, decoder)]
        runs.append(("pair", seed, encoder, decoder))
        one, two = views[seed, encoder], views[study.decoder_of[seed], decoder]
        follows = np.sum([self.follows[run] for run in runs], axis=0)
        result = study.encoder_slope * one.standard + study.decoder_slope * two.standard
        result = result + follows[0] * one.own + follows[1] * two.own
        if study.shared_slope:
            sizes = [math.sqrt(variance_of_view(study, [share])) for share in study.decoders]
            seen = [views[study.decoder_of[seed], share].standard for share in study.decoders]
            general = np.mean([size * view for size, view in zip(sizes, seen, strict=True)], axis=0)
            result = result + study.shared_slope * general / math.sqrt(variance_of_view(study, study.decoders))
        level = sum(self.levels[run] for run in runs) + self.gap[seed] * abs(encoder - decoder)
        return result + level - 0.05 * math.log2(ratio / study.ratios[0])


def _compressors(study: Study, cells: Sequence[Cell], views: dict[tuple[int, int], View]) -> pd.DataFrame:
    pairs = list(itertools.product(study.seeds, study.encoders, study.decoders))
    idle = set(pairs[len(pairs) - study.idle :])
    rows = []
    for encoder, decoder, ratio, seed in cells:
        sixths = abs(encoder - decoder)
        difference = views[study.decoder_of[seed], decoder].nll.mean() - views[seed, encoder].nll.mean()
        rows.append(
            {
                "encoder": f"D{encoder + 1}",
                "decoder": f"D{decoder + 1}",
                "readout": "memory_tokens",
                "ratio": ratio,
                "seed": seed,
                "decoder_training": "frozen",
                "memory_used": (seed, encoder, decoder) not in idle,
                "encoder_replaced": encoder / SIXTHS,
                "decoder_replaced": decoder / SIXTHS,
                "gap_design": sixths / SIXTHS,
                "gap_kl_encoder_decoder": 0.05 * sixths + 0.02,
                "gap_kl_decoder_encoder": 0.06 * sixths + 0.02,
                "gap_entropy_difference": float(difference),
            }
        )
    return pd.DataFrame(rows)


def _text(study: Study, generator: np.random.Generator) -> tuple[pd.DataFrame, Codes, Array, Array]:
    """Passages, number of their domain, difficulty around its mean, and what models of formal text see beyond it; [P].

    Sorted by passage_id, as the observations are.
    """
    rows = [
        (f"{domain}/{document:06d}:{_TOKENS * passage:05d}", f"{domain}/{document:06d}", domain, number)
        for domain, number in sorted((name, place) for place, name in enumerate(study.domains))
        for document in range(study.documents)
        for passage in range(study.passages)
    ]
    text = pd.DataFrame(rows, columns=["passage_id", "document_id", "domain", "number"])
    count, code = len(text), text.pop("number").to_numpy(dtype=np.int64)
    difficulty = _by_document(text, _DOCUMENT, generator) + generator.normal(0, _PASSAGE, count)
    hard = _MEAN + _DOMAIN_STEP * code + difficulty
    text = text.assign(
        source=text["document_id"],
        variant="normal",
        tokens=_TOKENS,
        bytes=generator.integers(180, 260, count),
        entropy_rate=np.nan,
        unigram_entropy=hard + 2 + generator.normal(0, 0.2, count),
        zlib_bits_per_byte=hard / 2 + 2 + generator.normal(0, 0.1, count),
    )
    return text, code, difficulty, generator.normal(0, _SHARED, count)


def _by_document(text: pd.DataFrame, deviation: float, generator: np.random.Generator) -> Array:
    codes = text["document_id"].factorize()[0]
    return generator.normal(0, deviation, codes.max() + 1)[codes]


def _entropies(side: str, nll: Array, text: pd.DataFrame) -> dict[str, Array]:
    """[C, P] columns of one side."""
    edges = np.quantile(nll, [0.25, 0.5, 0.75], axis=1)
    return {
        f"{side}_nll": nll,
        f"{side}_bits_per_byte": nll * (text["tokens"] / text["bytes"]).to_numpy() / np.log(2),
        f"{side}_predictive_entropy": nll * 0.95,
        f"{side}_bucket": (nll[None] > edges[:, :, None]).sum(0),
    }


def _measures(quality: Array, decoder_nll: Array, generator: np.random.Generator) -> dict[str, Array]:
    """[C, P] columns of every measure in every condition."""
    found: dict[str, Array] = {}
    for condition in ("real", *CONTROLS):
        level = quality if condition == "real" else 0.2 + generator.normal(0, 0.02, quality.shape)
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
