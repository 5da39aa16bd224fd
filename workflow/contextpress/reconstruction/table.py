"""Schemas of the reconstruction room's tables.

Answers: one row per question and source of the answer.

Reconstructions: one row per passage and memory condition of one compressor; a passage outside the sample has no rows
under ``OF_SAMPLE``. Crammed: one row per passage and number of vectors of one decoder.
"""

from __future__ import annotations

import pyarrow as pa

from contextpress.runtime.tables import required

# real: the passage's own memory. zeroed: all-zero vectors. shuffled: the memory of another passage of the domain.
# truncated: no memory; the decoder sees the first 1/ratio of the passage's tokens as text.
CONDITIONS = ("real", "zeroed", "shuffled", "truncated")

# These two are yardsticks, each one mean of many passages; they are read for the undisturbed passages that the control
# ladder disturbs (`sampled`). The other two decide, passage by passage, what memory holds and whether it is used.
OF_SAMPLE = ("zeroed", "truncated")

# Teacher-forced, then of the greedy text.
MEASURES = (
    "nll",  # mean over tokens, nats per token
    "accuracy",  # share of tokens that are the decoder's first choice given the true tokens before them
    "bleu",  # sacrebleu sentence score, 0 to 100
    "rouge_l",  # rouge-score F-measure, 0 to 1
    "token_f1",  # F1 of the two bags of tokens, 0 to 1
    "prefix_match",  # share of the passage reproduced before the first wrong token
    "exact_match",  # 1 if every token is right, else 0
    "chrf",  # sacrebleu chrF, 0 to 100
    "edit_similarity",  # 1 - normalised Levenshtein distance of the token sequences
)

RECONSTRUCTIONS = pa.schema(
    [
        required("passage_id", pa.string()),
        required("condition", pa.string()),
        *(required(name, pa.float64()) for name in MEASURES),
        required("reconstruction", pa.string()),
        required("token_ids", pa.list_(pa.int32())),
    ]
)

CRAMMED = pa.schema(
    [
        required("passage_id", pa.string()),
        required("decoder", pa.string()),  # the pretrained model itself, such as D1-s0
        required("vectors", pa.int32()),
        required("tokens_aimed", pa.int32()),  # from the beginning of the passage; what the memory was optimised for
        required("tokens_exact", pa.int32()),  # from the beginning, written by greedy decoding without an error
        required("tokens_correct", pa.int32()),  # of the passage, first choice given the true tokens before them
        required("nats_held", pa.float64()),  # nll without memory - nll with memory, summed over the tokens aimed at
        required("steps", pa.int32()),
    ]
)

# What a question is answered from: see answers.py.
ANSWERED_FROM = ("memory", "shuffled", "text", "nothing")

ANSWERS = pa.schema(
    [
        required("question_id", pa.string()),
        required("answered_from", pa.string()),
        required("right", pa.bool_()),  # every token of the answer, its line's end among them
        required("written", pa.string()),
    ]
)
