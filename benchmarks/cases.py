"""What is timed, against what, and the ratios aimed at."""

from __future__ import annotations

from functools import partial

from benchmarks import decoding, growth, scoring, training
from benchmarks.harness import Case, Growth

ICAE = "Trainer, ICAE's recipe"
TRAINER = "Trainer, whole batch"
CLM = "Trainer as run_clm.py"
CLM_AT_ONCE = "Trainer, whole batch"
PEAK = "peak of matrix products"
MINICONS, MINICONS_RANKS = "minicons, batches of 32", "minicons with ranks"
MINICONS_ALONE, MINICONS_RANKS_ALONE = "minicons, one by one", "minicons with ranks, one by one"
LM_EVAL, LM_EVAL_BATCHED = "lm-eval rolling, one by one", "lm-eval rolling, batches of 32"
GENERATE = "generate, batched"
GENERATE_SCORED = "generate, batched, and scores"
GENERATE_ALONE = "generate, one by one"
ALONE = "one by one"
EVERYWHERE = ("study", "slice", "0.6B")


def _at(against: str, **wanted: float) -> dict[tuple[str, str], float]:
    return {(shape, against): ratio for shape, ratio in wanted.items()}


def _everywhere(against: str, ratio: float) -> dict[tuple[str, str], float]:
    return {(shape, against): ratio for shape in EVERYWHERE}


CASES: tuple[Case | Growth, ...] = (
    Case(
        "compressor training",
        "passage tokens/s",
        training.our_compressor,
        {ICAE: training.icae, TRAINER: training.icae_batched},
        tolerance=0.02,
        wanted=_at(ICAE, study=4) | {("slice", ICAE): 2, ("0.6B", ICAE): 2},
    ),
    Case(
        "compressor training with Muon",
        "passage tokens/s",
        training.our_compressor_with_muon,
        {"the same with AdamW": training.our_compressor},
        shapes=("tiny", "study"),
    ),
    *(
        Case(
            f"arithmetic of training, {dtype}",
            "GFLOP/s",
            partial(training.arithmetic_of_training, dtype),
            {PEAK: partial(training.peak_of_products, dtype)},
            shapes=("tiny", "study", "0.6B"),
            wanted=_at(PEAK, study=wanted),
        )
        for dtype, wanted in (("float32", 0.6), ("bfloat16", 0.35))
    ),
    Case(
        "language-model pretraining",
        "tokens/s",
        training.our_language_model,
        {CLM: training.trained_language_model, CLM_AT_ONCE: training.trained_language_model_batched},
        tolerance=0.02,
    ),
    Case(
        "scoring",
        "tokens/s",
        scoring.our_scores,
        {
            MINICONS: partial(scoring.minicons, scoring.TOGETHER, False),
            MINICONS_ALONE: partial(scoring.minicons, 1, False),
            LM_EVAL: partial(scoring.lm_eval, 1),
            LM_EVAL_BATCHED: partial(scoring.lm_eval, scoring.TOGETHER),
        },
        tolerance=1e-4,
        wanted=_everywhere(MINICONS, 5) | _everywhere(MINICONS_ALONE, 5) | _everywhere(LM_EVAL, 3),
    ),
    Case(
        "scoring",
        "tokens/s",
        scoring.our_scores,
        {
            MINICONS_RANKS: partial(scoring.minicons, scoring.TOGETHER, True),
            MINICONS_RANKS_ALONE: partial(scoring.minicons, 1, True),
        },
        shapes=("tiny", "study"),
        tolerance=1e-4,
    ),
    *(
        Case(
            f"greedy reconstruction, accuracy {accuracy}",
            "tokens/s",
            partial(decoding.our_reconstructions, wrong),
            {
                GENERATE: partial(decoding.generate, wrong, False),
                GENERATE_SCORED: partial(decoding.generate, wrong, True),
                GENERATE_ALONE: partial(decoding.generate, wrong, False, together=1),
            },
            tolerance=0,
            wanted=_everywhere(GENERATE, wanted)
            | _everywhere(GENERATE_SCORED, wanted)
            | _everywhere(GENERATE_ALONE, wanted),
        )
        for accuracy, wrong, wanted in ((">= 0.9", 0.05, 5), (">= 0.6", 0.35, 2), ("low", 1.0, 0.95))
    ),
    Case(
        "cramming",
        "passages/s",
        decoding.our_cramming,
        {ALONE: decoding.cramming_alone},
        tolerance=0.01,
        wanted=_everywhere(ALONE, 10),
    ),
    Growth("growth of scoring", "passages", growth.scoring),
    Growth("growth of reconstruction", "passages", growth.reconstruction),
    Growth("growth of the analysis", "observations", growth.analysis),
    Growth("growth of the corpus", "characters cut", growth.cutting),
)
