"""Records as passages, and what is asked of each: the probe's passages and questions in tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import required
from contextpress.tokens.cut import name_hash
from contextpress.tokens.passages import VARIANTS
from contextpress.tokens.spec import QuestionsSpec
from contextpress.tokens.tokenizer import encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LINE_END = "\n"  # of an answer; and what fills up a record that is shorter than a passage
ASKED = pa.schema(
    [
        required("question_id", pa.string()),  # "products/000123.4:0/colour"
        required("passage_id", pa.string()),
        required("asked", pa.string()),
        required("stated", pa.bool_()),  # whether the answer stands in the passage
        required("prompt", pa.string()),
        required("answer", pa.string()),
        required("needs", pa.string()),  # the stretch of the passage that tells the answer; empty: all of it
        required("prompt_ids", pa.list_(pa.int32())),
        required("answer_ids", pa.list_(pa.int32())),  # with the line's end
        required("majority", pa.bool_()),  # whether it is the answer most often given in the training documents
        required("chance", pa.float64()),  # share of those answers that are this one
    ]
)


def ask(
    questions: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, spec: QuestionsSpec
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Passages of exactly ``window`` tokens, one for each record, and the questions that these can answer.

    Every document gives one record before any gives its second, both in the order of a hash of their names; so are the
    questions of a record chosen. Of a longer record that whole window is taken which answers most questions, a shorter
    one is filled up by line ends.

    Args:
        questions: with the schema QUESTIONS.
        tokenizer: the study's.
        spec: sizes.

    Returns:
        rows of PASSAGES and of ASKED.

    Raises:
        UserError: if there are too few records.
    """
    places = questions[["document_id", "record"]].drop_duplicates()
    places = places.assign(order=[name_hash(f"{row.document_id}.{row.record}") for row in places.itertuples()])
    places = places.sort_values(["document_id", "order"])
    places = places.assign(turn=places.groupby("document_id").cumcount(), document=places["document_id"].map(name_hash))
    groups = dict(iter(questions.groupby(["document_id", "record"], sort=False)))
    passages: list[dict[str, object]] = []
    asked: list[dict[str, object]] = []
    for place in places.sort_values(["turn", "document"]).itertuples():
        made = _passage(groups[place.document_id, place.record], tokenizer, spec.window)
        if made is None:
            continue
        passage, answerable = made
        passages.append(passage)
        asked += _asked(passage, answerable, tokenizer, spec.questions)
        if len(passages) == spec.records:
            return pd.DataFrame(passages), pd.DataFrame(asked, columns=ASKED.names)
    raise UserError(
        f"config key probe.records is {spec.records}: the test documents of domain {spec.domain} hold {len(passages)} "
        f"records of which {spec.window} tokens answer a question; ask for fewer, or give more text"
    )


def _passage(
    questions: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, window: int
) -> tuple[dict[str, object], pd.DataFrame] | None:
    """The best window of one record, and those of its questions that it answers; None if it answers none."""
    first = questions.iloc[0]
    ids, fill = encoded(tokenizer, [first["text"], LINE_END])
    whole = len(ids) <= window
    if whole:
        ids = (ids + fill * window)[:window]
    best: tuple[int, str, pd.DataFrame] | None = None
    for start in range(0, len(ids) - window + 1, window):
        text = str(tokenizer.decode(ids[start : start + window], clean_up_tokenization_spaces=False))
        answered = questions[[(bool(needs) and needs in text) or whole for needs in questions["needs"]]]
        if "\ufffd" not in text and len(answered) > (len(best[2]) if best else 0):
            best = start, text, answered
    if best is None:
        return None
    start, text, answered = best
    passage = {
        "passage_id": f"{first['document_id']}.{first['record']}:{start}",
        "document_id": first["document_id"],
        "domain": first["document_id"].rpartition("/")[0],
        "source": first["source"],
        "split": "test",
        "variant": VARIANTS[0],
        "start": start,
        "text": text,
        "token_ids": ids[start : start + window],
        "bytes": len(text.encode()),
        "entropy_rate": None,
    }
    return passage, answered


def _asked(
    passage: dict[str, object], questions: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, wanted: int
) -> Iterator[dict[str, object]]:
    name, count = passage["passage_id"], Counter[str]()
    rows = []
    for row in questions.to_dict("records"):
        count[row["asked"]] += 1
        again = f".{count[row['asked']]}" if count[row["asked"]] > 1 else ""
        rows.append({**row, "question_id": f"{name}/{row['asked']}{again}", "passage_id": name})
    for row in sorted(rows, key=lambda row: name_hash(row["question_id"]))[:wanted]:
        prompt, answer = encoded(tokenizer, [row["prompt"], row["answer"] + LINE_END])
        stated = row["answer"].strip() in row["needs"]
        made = {**row, "stated": stated, "prompt_ids": prompt, "answer_ids": answer}
        yield {column: made[column] for column in ASKED.names}
