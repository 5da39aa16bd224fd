"""Product records and questions about them; and those of a local file."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextpress.cli import main
from contextpress.corpus import products, question_files
from contextpress.corpus.documents import DOCUMENTS, table
from contextpress.corpus.products import RELATIONS, VALUES
from contextpress.corpus.records import QUESTIONS, Question, Record, documents, question_table
from contextpress.corpus.spec import CorpusSpec, Cut, Products, QuestionFile, domain_spec
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import read_table

CUT = Cut(document_characters=1000)


@given(st.integers(0, 10**6))
def test_a_record_states_its_attributes_and_none_of_its_relations(seed):
    made = list(products.records(3000, 1000, seed))
    assert made == list(products.records(3000, 1000, seed))
    for record in made:
        stated = dict(pair.split(" ") for pair in record.text.split(", "))
        assert stated.keys() == VALUES.keys()
        assert all(value in VALUES[name] for name, value in stated.items())
        asked = {question.asked: question for question in record.questions}
        assert asked.keys() == VALUES.keys() | RELATIONS.keys()
        for name, question in asked.items():
            answer = question.answer.removeprefix(" ")
            assert question.needs in record.text
            assert question.prompt == f"\nQ: {name}?\nA: {name}"
            assert (answer == stated[name]) if name in stated else (answer not in record.text)
        assert set(record.shown) < set(record.questions)
        assert RELATIONS.keys() < {question.asked for question in record.shown}
        assert len(record.shown) == len({question.asked for question in record.shown}) == products.SHOWN


def test_a_relation_is_a_fact_of_the_whole_domain_and_another_one_for_another_seed():
    def facts(seed):
        found = defaultdict(set)
        for record in products.records(100_000, 4000, seed):
            stated = dict(pair.split(" ") for pair in record.text.split(", "))
            for question in record.questions:
                if question.asked in RELATIONS:
                    found[question.asked, stated[RELATIONS[question.asked][0]]].add(question.answer)
        return found

    one, two = facts(0), facts(1)
    assert all(len(answers) == 1 for answers in one.values())
    assert one.keys() == {(name, value) for name, (of, _) in RELATIONS.items() for value in VALUES[of]}
    assert one != two
    spread = Counter(next(iter(answers)) for (name, _), answers in one.items() if name == "country")
    assert set(spread.values()) == {2}  # eight countries for sixteen brands: none is guessed more often than another


def test_documents_hold_records_with_their_question_rows_up_to_the_size():
    found = list(documents(products.records(30_000, 1000, 7)))
    other = list(documents(products.records(30_000, 1000, 8)))
    assert len({document.source for document in found}) == len(found)
    assert not {document.text for document in found} & {document.text for document in other}
    assert 20_000 < sum(len(document.text) for document in found) <= 30_000
    for document in found:
        assert len(document.text) <= 1000
        for block in document.text.split("\n\n"):
            text, *rows = block.split("\n")
            assert text.count(", ") == len(VALUES) - 1
            assert len(rows) == 2 * products.SHOWN
            for question, answer in zip(rows[::2], rows[1::2], strict=True):
                name = re.fullmatch(r"Q: (\w+)\?", question)[1]
                value = re.fullmatch(rf"A: {name} (\w+)", answer)[1]
                assert name in RELATIONS or f"{name} {value}" in text


def test_questions_are_about_test_documents_and_know_the_answers_of_training():
    red, blue, told = (Question("colour", "\nQ: colour?", f" {value}", value) for value in ("red", "blue", "x"))
    # By hash, of these 40 sources some fall into each split.
    records = [
        Record(f"s{number}", f"text {number}", (red if number % 4 else blue, told), (red if number % 4 else blue,))
        for number in range(40)
    ]
    frame = table({"mine": list(documents(records))}, CUT)
    split = dict(zip(frame["source"], frame["split"], strict=True))
    found = question_table(records, frame)
    assert set(found["source"]) == {source for source, name in split.items() if name == "test"}
    assert (found.groupby("source").size() == 2).all()
    training = [records[int(source[1:])].shown[0].answer for source, name in split.items() if name == "train"]
    share = {answer: training.count(answer) / len(training) for answer in (" red", " blue")}
    colours = found[found["answer"] != " x"]
    assert (colours["majority"] == (colours["answer"] == " red")).all()
    assert colours["chance"].tolist() == pytest.approx([share[answer] for answer in colours["answer"]])
    # Never given in training: the same attribute, another answer.
    assert (found.loc[found["answer"] == " x", ["majority", "chance"]].to_numpy() == 0).all()


def rows_of(path: Path, *rows: object) -> QuestionFile:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return QuestionFile(name="mine", path=str(path))


def test_a_file_with_contexts_gives_one_record_for_each_context(tmp_path):
    paris = "The tower stands in Paris."
    domain = rows_of(
        tmp_path / "rows.jsonl",
        {"context": paris, "question": "Where is it?", "answer": "Paris"},
        {"context": "Another text.", "question": "What is it?", "answer": "nothing"},
        {"id": 7, "context": paris, "question": "What stands there?", "answer": "The tower"},
    )
    one, two = question_files.records(domain, 10_000)
    assert (one.source, one.text) == ("rows.jsonl#0", paris)
    assert one.written() == f"{paris}\nQ: Where is it?\nA: Paris\nQ: What stands there?\nA: The tower"
    assert [question.needs for question in one.questions] == ["Paris", "The tower"]
    assert two.questions[0].needs == ""  # not in the text
    assert list(question_files.records(domain, len(one.written()))) == [one]


def test_a_file_without_contexts_asks_about_the_question_and_takes_the_last_answer(tmp_path):
    domain = rows_of(
        tmp_path / "rows.jsonl", {"question": "She has 2 and 3. How many?", "answer": "2 and 3 are 5.\n#### 5"}
    )
    (record,) = question_files.records(domain, 10_000)
    assert record.written() == "She has 2 and 3. How many?\nA: 5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"question": "q", "answer": "a"}\n{"question": "q"}\n',
            r"rows.jsonl:2: no 'answer'; a row has context",
        ),
        ('{"text": "q"}\n', r"rows.jsonl:1: no 'question'; .* here are 'text'"),
        ('{"question": "q", "answer": 5}\n', r"rows.jsonl:1: 'answer' is int, not text"),
        ('{"question": " ", "answer": "a"}\n', r"rows.jsonl:1: 'question' is empty"),
        ('{"question": "q", "answer": "so\\n#### "}\n', r"rows.jsonl:1: 'answer' is empty"),
        ('{"question": "q", "answer": "a\\nb"}\n', r"rows.jsonl:1: 'answer' has several lines"),
        ('{"question": "q", "answer": "a", "context": null}\n', r"rows.jsonl:1: 'context' is empty, not text"),
        ("[1]\n", r"rows.jsonl:1: a JSON object with question and answer is wanted, not list"),
        ("{\n", r"rows.jsonl:1: not JSON"),
        ("\n", r"rows.jsonl is empty"),
    ],
)
def test_bad_rows_are_told_in_one_line(tmp_path, content, message):
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        list(question_files.records(QuestionFile(name="mine", path=str(tmp_path / "rows.jsonl")), 10_000))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"domain mine: .*none is no file"):
        list(question_files.records(QuestionFile(name="mine", path=str(tmp_path / "none")), 10_000))


def test_the_steps_write_documents_and_the_questions_about_their_test_split(tmp_path):
    spec = domain_spec(Products(name="goods"), CorpusSpec(characters=20_000, document_characters=1000, seed=3)).line()
    assert main(["corpus", "domain", "--spec", spec, "--output", str(tmp_path / "d.parquet")]) == 0
    options = ["--documents", str(tmp_path / "d.parquet"), "--output", str(tmp_path / "q.parquet")]
    assert main(["corpus", "questions", "--spec", spec, *options]) == 0
    texts = read_table(tmp_path / "d.parquet", DOCUMENTS).set_index("document_id")
    asked = read_table(tmp_path / "q.parquet", QUESTIONS)
    assert set(asked["document_id"]) == set(texts.index[texts["split"] == "test"])
    for row in asked.itertuples():
        blocks = texts.loc[row.document_id, "text"].split("\n\n")
        assert blocks[row.record].startswith(row.text + "\n")
