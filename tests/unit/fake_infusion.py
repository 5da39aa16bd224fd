"""Curves over doses of infusion, planted: tables as the rooms before the analysis write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from contextpress.analysis.arms import load
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.infused import curves
from contextpress.analysis.spec import ArmCell, ArmsSpec, DoseOfCell, InfusionAnalysis
from contextpress.entropy.scores import PASSAGE_SCORES
from contextpress.runtime.tables import write_table
from tests.unit.fake_arms import told

WEIGHTS = {"base": 1000, "large": 3000}
MIXTURES = {"D1": {"prose": 1.0}, "D6": {"prose": 0.25, "code": 0.75}}
TOKENS = (0, 100, 400, 900)
GAINS = (0.0, 0.02, 0.05, 0.01)
LOST, LEARNED = (0.0, 0.03, 0.08, 0.4), (0.0, 0.1, 0.2, 0.3)


def asked(sizes=("base",), seeds=(0, 1, 2), tolerance=0.1, pairs=(("D1", "D6"),)) -> InfusionAnalysis:
    cells, doses = [], []
    for size in sizes:
        for dose, tokens in enumerate(TOKENS):
            arm = f"{size}_{dose}" if dose else {"base": "longer", "large": "larger_encoder"}[size]
            for encoder, decoder in pairs:
                for seed in seeds:
                    costs = {"steps": 100 - dose, "flops": 1, "own_flops": dose, "pretraining_flops": 1}
                    names = {"arm": arm, "encoder": encoder, "decoder": decoder, "seed": seed}
                    cells.append(ArmCell(**names, **costs, decoder_training="frozen"))
                    doses.append(
                        DoseOfCell(
                            size=size, weights=WEIGHTS[size], dose=dose, share=tokens / 900, steps=dose, tokens=tokens
                        )
                    )
    claims = ClaimsSpec(draws=400, min_passages=20, min_documents=10)
    arms = ArmsSpec(
        cells=cells, longer="longer", measure="token_f1", smallest_share=0.25, memory_test={}, claims=claims
    )
    return InfusionAnalysis(arms=arms, doses=doses, mixtures=MIXTURES, tolerance=tolerance)


def planted(folder: Path, spec: InfusionAnalysis, gains=GAINS, lost=LOST, noise=0.0, seed=0, **how):
    """Tables of planted curves; by size where ``gains`` or ``lost`` are by size."""
    draw = np.random.default_rng(seed)
    easy = draw.normal(0, 0.1, 1000)
    doses = dict(zip([(cell.arm, cell.encoder, cell.seed) for cell in spec.arms.cells], spec.doses, strict=True))

    def of(values, dose: DoseOfCell) -> float:
        return (values[dose.size] if isinstance(values, dict) else values)[dose.dose]

    def quality(cell: ArmCell, count: int) -> np.ndarray:
        gain = of(gains, doses[cell.arm, cell.encoder, cell.seed])
        return 0.5 + gain + draw.normal(0, noise) + easy[:count] + draw.normal(0, 0.01, count)

    texts, tables, qualities = told(folder, spec.arms, quality, **how)
    scores = []
    for place, dose in enumerate(spec.doses):
        rows = pd.DataFrame({"passage_id": qualities.index, "model": "x", "bits_per_byte": 1.0})
        own = rows["passage_id"].str.startswith("prose")
        rows["nll"] = 5.0 + easy[: len(rows)] + np.where(own, of(lost, dose), -LEARNED[dose.dose])
        rows = rows.assign(predictive_entropy=1.0, top1=0.5, bucket=0).astype({"bucket": "int32"})
        scores.append(folder / f"scores{place}.parquet")
        write_table(scores[-1], rows[::-1], PASSAGE_SCORES)
    return texts, tables, scores, qualities


def found_of(folder: Path, spec: InfusionAnalysis, **how) -> tuple[dict, pd.DataFrame]:
    texts, tables, scores, _ = planted(folder, spec, **how)
    return curves(load(spec.arms, texts, tables), scores, spec)
