"""The probe's passages and questions, on a tokenizer of a few letters."""

import pandas as pd
import pytest

from contextpress.runtime.errors import UserError
from contextpress.tokens.asked import ask
from contextpress.tokens.spec import QuestionsSpec
from contextpress.tokens.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def words():
    """One token for each of these words with the blank before it."""
    return train_tokenizer([" red blue up down left right one two" * 50], 285)


def questions(*records: tuple[str, list[tuple[str, str]]]) -> pd.DataFrame:
    """Records as text, and what is needed and answered of each; one document for each."""
    rows = [
        {
            "document_id": f"mine/{place:06d}",
            "source": f"s{place}",
            "record": 0,
            "text": text,
            "asked": f"q{number}",
            "prompt": " up",
            "answer": answer,
            "needs": needs,
            "majority": False,
            "chance": 0.5,
        }
        for place, (text, asked) in enumerate(records)
        for number, (needs, answer) in enumerate(asked)
    ]
    return pd.DataFrame(rows)


def size(**changes) -> QuestionsSpec:
    return QuestionsSpec(**{"domain": "mine", "window": 4, "records": 2, "questions": 3} | changes)


def test_a_passage_is_the_window_that_answers_most_and_is_asked_only_that(words):
    assert len(words(" red blue", add_special_tokens=False)["input_ids"]) == 2
    passages, asked = ask(
        questions(
            # Two windows of four: the second answers two questions, the first one; one lies across both.
            (
                " red blue up down left right one two red",
                [("red blue", " red"), ("left", " left"), ("right one", " two"), ("down left", " down")],
            ),
            (" red blue", [("", " one")]),
        ),
        words,
        size(),
    )
    passages = passages.set_index("document_id")
    assert passages.loc["mine/000000", ["text", "start"]].tolist() == [" left right one two", 4]
    # A short one is filled up by line ends.
    assert passages.loc["mine/000001", "text"] == " red blue\n\n"
    assert passages["token_ids"].map(len).tolist() == [4, 4]
    found = asked.set_index("question_id")
    assert set(found.index) == {"mine/000000.0:4/q1", "mine/000000.0:4/q2", "mine/000001.0:0/q0"}
    assert found["stated"].to_dict() == {
        "mine/000000.0:4/q1": True,
        "mine/000000.0:4/q2": False,  # "right one" tells it and does not say it
        "mine/000001.0:0/q0": False,
    }
    end = words("\n", add_special_tokens=False)["input_ids"]
    assert found.loc["mine/000000.0:4/q1", "answer_ids"] == words(" left", add_special_tokens=False)["input_ids"] + end


def test_records_are_taken_from_as_many_documents_as_there_are(words):
    frame = questions(*[(" red blue up down", [("red", " red")])] * 12)
    frame["document_id"] = [f"mine/{place % 4:06d}" for place in range(12)]
    frame["record"] = [place // 4 for place in range(12)]
    passages, _ = ask(frame, words, size(records=6))
    assert sorted(passages["document_id"].value_counts()) == [1, 1, 2, 2]
    more, _ = ask(frame, words, size(records=9))
    assert more["passage_id"].tolist()[:6] == passages["passage_id"].tolist()
    assert len(ask(frame, words, size(records=12))[0]) == 12
    with pytest.raises(UserError, match=r"probe.records is 13: .*domain mine hold 12 records"):
        ask(frame, words, size(records=13))


def test_no_more_is_asked_of_a_record_than_is_wanted(words):
    frame = questions(*[(" red blue up down", [(name, f" {name}") for name in ("red", "blue", "up", "down")])] * 2)
    _, asked = ask(frame, words, size(questions=3))
    assert asked.groupby("passage_id").size().tolist() == [3, 3]
    _, fewer = ask(frame, words, size(questions=1))
    assert set(fewer["question_id"]) < set(asked["question_id"])
