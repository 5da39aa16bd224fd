"""Numbers that others published, for comparison: nothing here is measured by this project.

Those of the paper under test come from digests of it, second hand. Each number carries its source wherever it is
shown.
"""

from __future__ import annotations

from typing import NamedTuple

PAPER = "Lv et al., arXiv 2602.01778, second-hand digests"
ICAE = "ICAE, Ge et al., arXiv 2307.06945, their models and text"
IC_FORMER = "IC-Former, Wang et al., arXiv 2406.13618, their models and text"


class Rung(NamedTuple):
    """A rung of a published control ladder."""

    source: str
    ratio: int | None
    variant: str
    measure: str
    value: float


# BLEU from 0 to 100; IC-Former gives it from 0 to 1, and its ratio is not known to us.
LADDERS = (
    Rung(ICAE, 4, "normal", "nll", 0.01),
    Rung(ICAE, 4, "normal", "bleu", 99.3),
    Rung(ICAE, 4, "ids_plus_1", "nll", 1.63),
    Rung(ICAE, 4, "ids_plus_1", "bleu", 3.5),
    Rung(ICAE, 4, "random_ids", "nll", 4.55),
    Rung(ICAE, 4, "random_ids", "bleu", 0.2),
    Rung(IC_FORMER, None, "normal", "bleu", 90.0),
    Rung(IC_FORMER, None, "reversed", "bleu", 67.0),
    Rung(IC_FORMER, None, "ids_plus_1", "bleu", 13.0),
    Rung(IC_FORMER, None, "random_ids", "bleu", 0.8),
)

# The limit of one crammed vector is about constant in nats; what the ± stands for is not known to us.
CRAMMED_SOURCE, CRAMMED_MODEL, CRAMMED_NATS = "arXiv 2502.13063", "Llama-3.1-8B", "4,866 ± 547"


class Setting(NamedTuple):
    """Quality of one setting of the paper, F1 and BLEU from 0 to 100; None where it is not known."""

    name: str
    f1: float
    bleu: float | None


OFF_THE_SHELF_MATCHED = Setting("Qwen2.5 Base + Base", 96.96, 80.02)
OFF_THE_SHELF_GAP = Setting("Qwen2.5 Base + Coder", 92.15, 64.61)
MATCHED = Setting("500M + 500M from scratch, both on D1", 81.57, 42.12)
WIDEST_GAP = Setting("500M + 500M, decoder moved to D6", 69.44, 27.02)
SMALL_DECODER = Setting("mismatched pair, decoder 500M", 75.86, None)
LARGE_DECODER = Setting("mismatched pair, decoder 1B", 82.87, None)
PER_SIXTH = (WIDEST_GAP.f1 - MATCHED.f1) / 100 / 5  # F1 on a scale of 0 to 1; from D1 to D6 are five sixths
