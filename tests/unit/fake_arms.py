"""Made-up reconstructions of helped pairs: what the analysis of arms and its figure are tried on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from contextpress.analysis.arms import load, mitigation
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.spec import ArmCell, ArmsSpec
from contextpress.reconstruction.table import MEASURES, RECONSTRUCTIONS
from contextpress.runtime.tables import write_table
from contextpress.tokens.passages import PASSAGES

Quality = Callable[[ArmCell, int], float | np.ndarray]
PAIRS = (("D1", "D6"), ("D6", "D1"))
DOMAINS, DOCUMENTS, EACH = ("code", "prose"), 12, 2
CONTROLLED = ("", "longer", "larger_decoder")


def cells(arms: list[str], seeds: tuple[int, ...], pairs: tuple = PAIRS) -> list[ArmCell]:
    made = {}
    for arm in ["", "longer", *arms]:
        for encoder, decoder in pairs:
            for seed in seeds:
                for one in [encoder, *([decoder] if arm in CONTROLLED else [])]:
                    made[arm, one, decoder, seed] = ArmCell(
                        arm=arm,
                        encoder=one,
                        decoder=decoder,
                        seed=seed,
                        decoder_training="full" if arm == "decoder_full" else "frozen",
                        steps=140 if arm else 100,
                        flops=1500 if arm else 1000,
                        own_flops=0,
                        pretraining_flops=70,
                    )
    return list(made.values())


def passages(path: Path) -> list[str]:
    rows = [
        {
            "passage_id": f"{domain}/{document:03d}:{number}",
            "document_id": f"{domain}/{document:03d}",
            "domain": domain,
            "source": f"{domain}-{document}",
            "split": "test",
            "variant": "normal",
            "start": 0,
            "text": "x",
            "token_ids": [1],
            "bytes": 1,
            "entropy_rate": math.nan,
        }
        for domain in DOMAINS
        for document in range(DOCUMENTS)
        for number in range(EACH if domain == "code" else 2 * EACH)  # domains of unequal size count alike
    ]
    odd = [rows[0] | {"passage_id": "code/000:9", "split": "validation"}]
    odd += [rows[0] | {"passage_id": "code/000:0/reversed", "variant": "reversed"}]
    frame = pd.DataFrame(rows + odd).astype({"start": "int32", "bytes": "int32"})
    write_table(path, frame, PASSAGES)
    return [row["passage_id"] for row in rows]


def told(
    folder: Path, spec: ArmsSpec, quality: Quality, used: Callable[[ArmCell], bool] = lambda cell: True
) -> tuple[list[Path], list[Path], pd.DataFrame]:
    """Passages, tables, and qualities, passages x cells; ``quality`` is asked by cell and number of passages."""
    names = passages(folder / "passages.parquet")
    paths, values = [], {}
    for place, cell in enumerate(spec.cells):
        paths.append(folder / f"{place}.parquet")
        values[place] = np.broadcast_to(quality(cell, len(names)), len(names))
        parts = []
        for condition in ("real", "shuffled"):
            part = pd.DataFrame({"passage_id": names, "condition": condition, "reconstruction": "x"})
            part["token_ids"] = [[1]] * len(names)
            part[list(MEASURES)] = 0.0
            part["nll"] = 3.0 if condition == "shuffled" or not used(cell) else 1.0
            part["token_f1"] = values[place] if condition == "real" else 0.0
            parts.append(part)
        write_table(paths[-1], pd.concat(parts)[::-1], RECONSTRUCTIONS)
    return [folder / "passages.parquet"], paths, pd.DataFrame(values, index=names)


def asked(arms: list[str], seeds: tuple[int, ...] = (0, 1, 2), pairs: tuple = PAIRS, **changes: object) -> ArmsSpec:
    claims = ClaimsSpec(**({"draws": 400, "min_passages": 20, "min_documents": 10} | changes))
    return ArmsSpec(
        cells=cells(arms, seeds, pairs),
        longer="longer",
        measure="token_f1",
        smallest_share=0.25,
        memory_test={},
        claims=claims,
    )


def planted(seed: int, noise: float = 0.002, **gains: float) -> Quality:
    """Quality of 0.5 mismatched and 0.6 matched, and so much more for an arm; noise of runs, and of documents."""
    draw = np.random.default_rng(seed)
    easy = draw.normal(0, 0.1, 1000)

    def quality(cell: ArmCell, count: int) -> np.ndarray:
        matched = 0.1 if cell.encoder == cell.decoder else 0.0
        more = {"": 0.0, "longer": 0.02}.get(cell.arm, gains.get(cell.arm, 0.0))
        return 0.5 + matched + more + draw.normal(0, noise) + easy[:count] + draw.normal(0, 0.01, count)

    return quality


def found_of(folder: Path, spec: ArmsSpec, quality: Quality, **how: object) -> tuple[dict, pd.DataFrame]:
    texts, tables, _ = told(folder, spec, quality, **how)
    return mitigation(load(spec, texts, tables))
