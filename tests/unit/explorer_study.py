"""A made-up study for the explorer, with texts that would like to be markup."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contextpress.analysis.spec import CompressorDescription
from contextpress.report.explorer import Tables
from contextpress.report.spec import ExplorerSpec
from tests.unit.fake_study import observations

WINDOW = 8
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "<!-- <script>",
    "\u202egnp.exe \u2028 \x00 \ud7ff",
    "${block} $script",
)
WORDS = ("the", " cat", " sat", "\n", " é", "\t", "123", " on", *HOSTILE)
PIECES = dict(enumerate(WORDS, start=100))


def study(passages: int, domains: tuple[str, ...] = ("prose", "code"), ladder: int = 2) -> tuple[ExplorerSpec, Tables]:
    """Four pairs, ratios 4 and 8; ``passages`` of each domain, every token drawn from ``WORDS``.

    The compressor that stands at n-th place gets each token right but where place + n is a multiple of 3.
    """
    rows = observations(("D1", "D6"), domains, passages=passages, ladder=ladder, seeds=(0,))
    rows["source"] = rows["source"] + HOSTILE[1]
    keys = ["encoder", "decoder", "ratio", "readout", "seed", "decoder_training"]
    compressors = tuple(
        CompressorDescription(encoder_model=f"{key['encoder']}-s0", decoder_model=f"{key['decoder']}-s0", **key)
        for key in rows[keys].drop_duplicates().to_dict("records")
    )
    names = rows["passage_id"].drop_duplicates().sample(frac=1, random_state=0).tolist()
    draw = np.random.default_rng(3)
    ids = draw.integers(100, 100 + len(WORDS), (len(names), WINDOW))
    made = [
        np.where((np.arange(WINDOW) + place) % 3 == 0, 100 + (ids + 1) % len(WORDS), ids)
        for place in range(len(compressors))
    ]
    text = pd.DataFrame({"passage_id": names, "token_ids": list(ids)})
    text["text"] = ["".join(PIECES[token] for token in row) for row in ids.tolist()]
    scores = {}
    for model in ("D1-s0", "D6-s0"):
        nll = draw.gamma(1.5, 2.0, ids.shape).astype(np.float32)
        place = np.tile(np.arange(WINDOW, dtype=np.int32), len(names))
        scores[model] = pd.DataFrame({"passage_id": text["passage_id"].repeat(WINDOW), "position": place})
        scores[model]["nll"] = nll.ravel()
    parts = [pd.DataFrame({"passage_id": names, "condition": "real", "token_ids": list(row)}) for row in made]
    reconstructions = [pd.concat([part.assign(condition="zeroed"), part]) for part in parts]
    spec = ExplorerSpec(study="tried", measure="token_f1", compressors=compressors)
    return spec, Tables(text, rows, scores, reconstructions, PIECES)
