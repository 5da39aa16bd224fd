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
LETTERS = {ord(letter): letter for word in WORDS for letter in word}


def study(
    passages: int, domains: tuple[str, ...] = ("prose", "code"), ladder: int = 2, own: tuple[str, ...] = ()
) -> tuple[ExplorerSpec, Tables]:
    """Four pairs, ratios 4 and 8; ``passages`` of each domain, every token drawn from ``WORDS``.

    The compressor that stands at n-th place gets each token right but where place + n is a multiple of 3. Models whose
    names are in ``own`` read letters, of which a passage has as many as it has.
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
    text = pd.DataFrame({"passage_id": names, "token_ids": list(ids)})
    text["text"] = ["".join(PIECES[token] for token in row) for row in ids.tolist()]
    letters = [np.array([ord(letter) for letter in row]) for row in text["text"]]
    scores, reads = {}, {}
    for model in ("D1-s0", "D6-s0"):
        rows_of_ids = letters if model in own else list(ids)
        sizes = np.array([len(row) for row in rows_of_ids])
        scores[model] = pd.DataFrame(
            {
                "passage_id": text["passage_id"].repeat(sizes),
                "position": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
                "token_id": np.concatenate(rows_of_ids).astype(np.int32),
                "nll": draw.gamma(1.5, 2.0, sizes.sum()).astype(np.float32),
            }
        )
        reads[model] = "letters" if model in own else "words"
    reconstructions = []
    for place, one in enumerate(compressors):
        true, known = (letters, sorted(LETTERS)) if one.decoder_model in own else (list(ids), sorted(PIECES))
        made = [_off(row, known, place) for row in true]
        part = pd.DataFrame({"passage_id": names, "condition": "real", "token_ids": made})
        reconstructions.append(pd.concat([part.assign(condition="zeroed"), part]))
    spec = ExplorerSpec(study="tried", measure="token_f1", compressors=compressors)
    pieces = {"words": PIECES, "letters": LETTERS}
    return spec, Tables(text, rows, scores, reconstructions, reads, pieces)


def _off(ids: np.ndarray, known: list[int], place: int) -> np.ndarray:
    """Every third token replaced by the next one that is known."""
    following = np.roll(known, -1)[np.searchsorted(known, ids)]
    return np.where((np.arange(len(ids)) + place) % 3 == 0, following, ids)
