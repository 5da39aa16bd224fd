"""Records from a local file of questions: rows of JSON with context, question and answer, or question and answer.

With a context (as SQuAD, arXiv 1606.05250, in flat rows) that is the record; rows with the same context are questions
about one record. Without (as GSM8K, arXiv 2110.14168) the question itself is the record, and of an answer that
reasons first, what follows its last `####` is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from contextpress.corpus.local import json_rows, question_path, text_of
from contextpress.corpus.records import Question, Record
from contextpress.corpus.spec import QuestionFile
from contextpress.runtime.errors import UserError

KEYS = ("context", "question", "answer")
FINAL = "####"


def records(domain: QuestionFile, characters: int) -> Iterator[Record]:
    """The records of a file in its order, as many as fit into ``characters`` characters with their question rows.

    Raises:
        UserError: naming file and line of the first row that is not as it should be.
    """
    path = question_path(domain)
    found: dict[str, tuple[int, list[Question]]] = {}
    for number, row in json_rows(path, "question and answer"):
        text, question = _read(row, f"{path}:{number + 1}")
        found.setdefault(text, (number, []))[1].append(question)
    if not found:
        raise UserError(f"domain {domain.name}: {path} is empty")
    total = 0
    for text, (number, questions) in found.items():
        record = Record(f"{path.name}#{number}", text, tuple(questions), tuple(questions))
        total += len(record.written())
        if total > characters:
            return
        yield record


def _read(row: dict[str, object], where: str) -> tuple[str, Question]:
    for key in KEYS[1:]:
        if key not in row:
            raise UserError(
                f"{where}: no {key!r}; a row has {', '.join(KEYS)}, or {' and '.join(KEYS[1:])}, and here are "
                f"{', '.join(map(repr, row)) or 'none'}"
            )
    told = {key: text_of(row[key], key, where).strip() for key in KEYS if key in row}
    answer = told["answer"].rpartition(FINAL)[2].strip()
    for key, text in (told | {"answer": answer}).items():
        if not text:
            raise UserError(f"{where}: {key!r} is empty")
    if "\n" in answer:
        raise UserError(f"{where}: 'answer' has several lines; one is wanted, or a last line that begins with {FINAL}")
    if "context" not in told:
        return told["question"], Question("answer", prompt="\nA:", answer=f" {answer}", needs="")
    needs = answer if answer in told["context"] else ""
    return told["context"], Question("answer", f"\nQ: {told['question']}\nA:", f" {answer}", needs)
