"""How close a reconstruction is to its passage: one number per measure and passage.

Of the greedy text, from tokens: ``token_f1``, ``prefix_match``, ``exact_match``, ``edit_similarity``; from characters
and words: ``bleu``, ``chrf``, ``rouge_l``. Of the teacher-forced pass: ``nll`` and ``accuracy``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - its customary name
from rapidfuzz.distance import LCSseq, Levenshtein
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor

from contextpress.reconstruction.table import MEASURES

# The measures that need the greedy text; the others come from `teacher_forced`.
OF_GREEDY = tuple(name for name in MEASURES if name not in ("nll", "accuracy"))

# Runs of letters, digits and underscores, and every other visible character by itself; case is kept: `x_1 += f(y)`
# gives x_1 + = f ( y ). rouge-score's own tokenizer keeps [a-z0-9] of the lower-cased text only: operators and brackets
# would count for nothing, and a text of symbols would score 0 against itself.
WORDS = re.compile(r"\w+|[^\w\s]")

# effective_order: a sentence shorter than four words is scored on the n-grams it has, not 0.
_BLEU, _CHRF = BLEU(effective_order=True), CHRF()


def _sacrebleu_signature(scorer: BLEU | CHRF) -> str:
    # sacrebleu knows the number of references, which its signature tells, only once it has scored.
    scorer.sentence_score("a", ["a"])
    return str(scorer.get_signature())


# What each measure of a text depends on, for the run record.
SIGNATURES = {
    "bleu": f"sentence|{_sacrebleu_signature(_BLEU)}",
    "chrf": f"sentence|{_sacrebleu_signature(_CHRF)}",
    "rouge_l": rf"rougeL|f-measure|stem:no|case:mixed|tok:{WORDS.pattern}|rapidfuzz:{version('rapidfuzz')}",
    "edit_similarity": f"levenshtein|unit:token|norm:longer|rapidfuzz:{version('rapidfuzz')}",
    "token_f1": "bag-of-tokens|unit:token",
}


def measure(
    reference_ids: Sequence[int], generated_ids: Sequence[int], reference_text: str, generated_text: str
) -> dict[str, float]:
    """Every measure of one greedy reconstruction; BLEU and chrF run from 0 to 100, the others from 0 to 1.

    Args:
        reference_ids: tokens of the passage.
        generated_ids: tokens of the reconstruction.
        reference_text: the passage as text.
        generated_text: the reconstruction as text.
    """
    same = reference_text == generated_text
    return {
        "token_f1": token_f1(reference_ids, generated_ids),
        "prefix_match": prefix_match(reference_ids, generated_ids),
        "exact_match": float(list(reference_ids) == list(generated_ids)),
        "edit_similarity": edit_similarity(reference_ids, generated_ids),
        # A text is equal to itself also where a scorer sees no word in it, as in white space.
        "bleu": 100.0 if same else bleu(reference_text, generated_text),
        "chrf": 100.0 if same else chrf(reference_text, generated_text),
        "rouge_l": 1.0 if same else rouge_l(reference_text, generated_text),
    }


def measure_all(
    reference_ids: Sequence[Sequence[int]],
    generated_ids: Sequence[Sequence[int]],
    reference_texts: Sequence[str],
    generated_texts: Sequence[str],
) -> pd.DataFrame:
    """`measure` of many passages: one row per passage, in the order given, one column per measure."""
    rows = zip(reference_ids, generated_ids, reference_texts, generated_texts, strict=True)
    return pd.DataFrame([measure(*row) for row in rows], columns=list(OF_GREEDY), dtype=float)


def token_f1(reference: Sequence[int], generated: Sequence[int]) -> float:
    """F1 of the two bags of tokens, after SQuAD's word F1 (Rajpurkar et al., arXiv 1606.05250), with token ids."""
    if not reference or not generated:
        return float(len(reference) == len(generated))
    shared = (Counter(reference) & Counter(generated)).total()
    return 2 * shared / (len(reference) + len(generated))


def prefix_match(reference: Sequence[int], generated: Sequence[int]) -> float:
    """Share of the passage reproduced before the first wrong token."""
    if not reference:
        return 1.0
    pairs = enumerate(zip(reference, generated, strict=False))
    first_wrong = next((place for place, (true, said) in pairs if true != said), min(len(reference), len(generated)))
    return first_wrong / len(reference)


def edit_similarity(reference: Sequence[int], generated: Sequence[int]) -> float:
    """1 - Levenshtein distance of the token sequences / length of the longer one."""
    return float(Levenshtein.normalized_similarity(list(reference), list(generated)))


def bleu(reference: str, generated: str) -> float:
    """Sentence BLEU, 0 to 100 (Papineni et al. 2002; Post, arXiv 1804.08771), see ``SIGNATURES``."""
    # Rounding inside sacrebleu can leave 100.00000000000004.
    return min(float(_BLEU.sentence_score(generated, [reference]).score), 100.0)


def chrf(reference: str, generated: str) -> float:
    """Sentence chrF, 0 to 100 (Popovic 2015), see ``SIGNATURES``."""
    return float(_CHRF.sentence_score(generated, [reference]).score)


def rouge_l(reference: str, generated: str) -> float:
    """ROUGE-L F-measure, 0 to 1 (Lin 2004), over ``WORDS``, see ``SIGNATURES``.

    The number of rouge-score's ``RougeScorer(["rougeL"])`` with this tokenizer. Its table of the longest common
    subsequence is filled in Python, 8 s per 1000 passages of 512 tokens; rapidfuzz needs a twentieth of that.
    """
    true, said = WORDS.findall(reference), WORDS.findall(generated)
    return 2 * LCSseq.similarity(true, said) / (len(true) + len(said)) if true and said else 0.0


def teacher_forced(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihood and accuracy of each passage, in float32.

    ``logits[:, i]`` must be the prediction OF ``targets[:, i]``: in a causal model it comes from the position before::

        input        memory  <restate>  x0  x1  x2
        logits of               x0      x1  x2  -

    Args:
        logits: [batch, length, vocabulary], any float type.
        targets: [batch, length] token ids.

    Returns:
        nll in nats per token and share of tokens that are the first choice, each [batch].
    """
    if logits.shape[:2] != targets.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not fit targets {tuple(targets.shape)}")
    # By passage: the float32 copy of all logits at once can be larger than the model.
    nll = [F.cross_entropy(row.float(), target) for row, target in zip(logits, targets, strict=True)]
    accuracy = (logits.argmax(-1) == targets).float().mean(-1)
    return torch.stack(nll), accuracy
