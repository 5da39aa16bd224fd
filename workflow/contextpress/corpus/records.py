"""Records with questions about them: what a probe asks of a memory, and what models read in pretraining to know how.

In a document every record is followed by question rows, each a prompt and its answer:

    colour red, brand Arvo, shelf C
    Q: colour?
    A: colour red

A record has a source, and with it a split. Answers are looked for in the tokens after the prompt up to the line's end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import pandas as pd
import pyarrow as pa

from contextpress.corpus.cutting import Document
from contextpress.runtime.tables import required

QUESTIONS = pa.schema(
    [
        required("document_id", pa.string()),
        required("source", pa.string()),
        required("record", pa.int32()),  # of the document, from 0
        required("text", pa.string()),  # the record itself
        required("asked", pa.string()),  # what is asked: an attribute, a relation, or of a file "answer"
        required("prompt", pa.string()),  # what follows the record, up to the answer
        required("answer", pa.string()),  # without the line's end
        required("needs", pa.string()),  # the stretch of the record that tells the answer; empty: all of it
        required("majority", pa.bool_()),  # whether it is the answer most often given to that in the training documents
        required("chance", pa.float64()),  # share of those answers that are this one
    ]
)


@dataclass(frozen=True)
class Question:
    """A question about a record; the fields are columns of QUESTIONS."""

    asked: str
    prompt: str
    answer: str
    needs: str


@dataclass(frozen=True)
class Record:
    """A text and what can be asked about it.

    Attributes:
        source: what cannot straddle two splits.
        text: the record.
        questions: all that can be asked.
        shown: those that follow it in the documents, with their answers.
    """

    source: str
    text: str
    questions: tuple[Question, ...]
    shown: tuple[Question, ...]

    def written(self) -> str:
        """The record and its question rows."""
        return self.text + "".join(question.prompt + question.answer for question in self.shown)


def documents(records: Iterable[Record]) -> Iterator[Document]:
    """One document for each source; the records of one source stand together."""
    for source, group in groupby(records, key=lambda record: record.source):
        yield Document(source, "\n\n".join(record.written() for record in group))


def question_table(records: Iterable[Record], documents: pd.DataFrame) -> pd.DataFrame:
    """The questions about the records of the test documents, with the schema QUESTIONS.

    Args:
        records: all of the domain, those of one source together.
        documents: rows of the documents table.
    """
    place = {row.source: (row.split, row.document_id) for row in documents.itertuples()}
    given: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rows: list[dict[str, object]] = []
    for source, group in groupby(records, key=lambda record: record.source):
        split, document = place[source]
        for number, record in enumerate(group):
            if split == "train":
                for question in record.shown:
                    given[question.asked][question.answer] += 1
            elif split == "test":
                rows += [
                    {"document_id": document, "source": source, "record": number, "text": record.text, **vars(question)}
                    for question in record.questions
                ]
    frame = pd.DataFrame(rows, columns=[name for name in QUESTIONS.names if name not in ("majority", "chance")])
    # Of two answers given as often, the one that comes first by name.
    usual = {asked: min(answers, key=lambda answer: (-answers[answer], answer)) for asked, answers in given.items()}
    pairs = list(zip(frame["asked"], frame["answer"], strict=True))
    return frame.assign(
        majority=[usual.get(asked) == answer for asked, answer in pairs],
        chance=[given[asked][answer] / max(1, given[asked].total()) for asked, answer in pairs],
    )
