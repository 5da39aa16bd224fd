"""Files of the user and data sets by name: what is read, and one line for each mistake."""

import json
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest

from contextpress.corpus import hub, local, steps
from contextpress.corpus.cutting import position
from contextpress.corpus.documents import DOCUMENTS
from contextpress.corpus.spec import CorpusSpec, HubDataset, LocalFiles, domain_spec
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import read_table

PARAGRAPHS = [f"Paragraph {i} of a story about a lighthouse that nobody has visited for {i} years." for i in range(60)]


def read(path: Path | str, characters: int = 10**6, size: int = 400, field: str = "text"):
    domain = LocalFiles(name="mine", path=str(path), field=field)
    return list(local.documents(domain, characters, size))


def test_a_single_text_is_cut_at_blank_lines_into_blocks(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text("\r\n\r\n".join(PARAGRAPHS))
    found = sorted(read(path), key=lambda document: int(document.source.split("#")[1]))
    assert "\n\n".join(document.text for document in found) == "\n\n".join(PARAGRAPHS)
    assert all(len(document.text) <= 400 for document in found)
    assert len({document.source for document in found}) == len(found)


def test_a_folder_is_split_by_file_wherever_it_lies(tmp_path: Path) -> None:
    names = []
    for root in ("here", "there"):
        for i in range(8):
            path = tmp_path / root / "deep" / f"{i}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n\n".join(PARAGRAPHS[i : i + 9]))
        (tmp_path / root / "picture.png").write_bytes(b"\x89PNG\0")
        names.append([(document.source, document.text) for document in read(tmp_path / root)])
    assert names[0] == names[1]
    assert {source for source, _ in names[0]} == {f"deep/{i}.md" for i in range(8)}
    assert names[0] == [(d.source, d.text) for d in read(tmp_path / "here" / "**" / "*.md")]


def _write(path: Path, texts: list[str]) -> None:
    frame = pd.DataFrame({"id": range(len(texts)), "body": texts})
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"id": i, "body": text}) for i, text in enumerate(texts)) + "\n")
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_records_are_sources(tmp_path: Path, suffix: str) -> None:
    texts = ["First, with a comma.\nAnd a line.", "007", "NA", "A separator \u2028 inside.", "x " * 500]
    path = tmp_path / f"data{suffix}"
    _write(path, texts)
    found: dict[str, str] = {}
    for document in read(path, field="body"):
        found[document.source] = found.get(document.source, "") + " " + document.text
    assert found.keys() == {f"data{suffix}#{i}" for i in range(5)}
    assert found[f"data{suffix}#0"].strip() == texts[0]
    assert found[f"data{suffix}#1"].strip() == "007"
    assert found[f"data{suffix}#2"].strip() == "NA"
    assert "".join(found[f"data{suffix}#4"].split()) == "x" * 500
    with pytest.raises(UserError, match=r"no (field|column) 'text'; there are 'id', 'body'"):
        read(path)


def test_the_cap_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    _write(path, PARAGRAPHS)
    found = read(path, characters=1000, field="body")
    assert 800 < sum(len(document.text) for document in found) <= 1000
    everything = sorted(read(path, field="body"), key=lambda document: position(document.source))
    assert found == everything[: len(found)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "fine"}\n{"text": \n', r"a.jsonl:2: not JSON \(Expecting value, column \d+\)"),
        ("a.jsonl", b'{"text": "fine"}\n["list"]\n', r"a.jsonl:2: a JSON object with the field 'text' is wanted"),
        ("a.jsonl", b'{"text": "fine"}\n{"body": 1, "id": 2}\n', "a.jsonl:2: no field 'text'; there are 'body', 'id'"),
        ("a.jsonl", b'{"text": 7}\n', "a.jsonl:1: 'text' is int, not text"),
        ("a.jsonl", b"\n\n", "a.jsonl is empty"),
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", "caf\u00e9".encode("latin-1"), r"a.txt is not UTF-8: byte 0xe9 at offset 3"),
        ("a.txt", b"abc\0def", "a.txt is binary .a zero byte at offset 3."),
        ("a.jsonl", b'{"text": "fine"}\n{"text": "\xff"}\n', "a.jsonl is not UTF-8: byte 0xff at offset 27"),
        ("a.csv", b"text\n\xff\n", "a.csv is not UTF-8: byte 0xff at offset 5"),
        ("a.csv", b"id,text\n1,a,b\n", "a.csv cannot be read as CSV"),
        ("a.parquet", b"not parquet at all", "a.parquet cannot be read as Parquet"),
        ("a.pdf", b"%PDF", r"a.pdf is not one of the kinds .txt, .md, .jsonl, .parquet, .csv"),
    ],
)
def test_mistakes_in_files_are_told_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_an_empty_cell_of_parquet_is_told(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["fine", None]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet, row 1: 'text' is empty, not text"):
        read(tmp_path / "a.parquet")


def test_a_path_without_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "none.txt")
    with pytest.raises(UserError, match="matches no file"):
        read(tmp_path / "*.txt")
    with pytest.raises(UserError, match="holds no file of the kinds"):
        read(tmp_path)


def test_the_step_writes_split_documents(tmp_path: Path) -> None:
    _write(tmp_path / "data.jsonl", PARAGRAPHS)
    spec = domain_spec(
        LocalFiles(name="mine", path=str(tmp_path / "data.jsonl"), field="body"), CorpusSpec(document_characters=400)
    )
    assert spec.seed is None
    steps.domain(spec=spec, output=tmp_path / "mine.parquet")
    frame = read_table(tmp_path / "mine.parquet", DOCUMENTS)
    assert sorted(frame["text"]) == sorted(PARAGRAPHS)
    assert set(frame["split"]) == {"train", "validation", "test"}
    first = (tmp_path / "mine.parquet").read_bytes()
    steps.domain(spec=spec, output=tmp_path / "mine.parquet")
    assert (tmp_path / "mine.parquet").read_bytes() == first


def test_too_few_sources_are_told(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("One paragraph.\n\nAnother one.")
    spec = domain_spec(LocalFiles(name="mine", path=str(tmp_path / "short.txt")), CorpusSpec())
    with pytest.raises(UserError, match="domain mine has 1 sources"):
        steps.domain(spec=spec, output=tmp_path / "mine.parquet")


@pytest.mark.parametrize("streaming", [True, False])
def test_a_data_set_in_a_folder(tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    folder = tmp_path / "set"
    folder.mkdir()
    _write(folder / "train.parquet", PARAGRAPHS)
    domain = HubDataset(name="set", dataset=str(folder), field="body", streaming=streaming)
    found = list(hub.documents(domain, 2000, 400))
    assert [document.text for document in found] == PARAGRAPHS[: len(found)]
    assert found[3].source.endswith("#3")
    assert 1800 < sum(len(document.text) for document in found) <= 2000
    with pytest.raises(UserError, match=r"record 0: no field 'text'; there are 'id', 'body'"):
        list(hub.documents(domain.model_copy(update={"field": "text"}), 2000, 400))
    with pytest.raises(UserError, match="domain set: data set"):
        list(hub.documents(domain.model_copy(update={"split": "dev"}), 2000, 400))


def test_a_data_set_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    domain = HubDataset(name="wiki", dataset="some/set")
    for error, message in (
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'some/set' doesn't exist"),
            "was not found, or needs a login",
        ),
        (ConnectionError("Couldn't reach the hub\nmore"), "cannot be reached: Couldn't reach the hub; fill the cache"),
        (ValueError("Unknown split 'x'"), "cannot be read: Unknown split 'x'"),
    ):
        monkeypatch.setattr(datasets, "load_dataset", Mock(side_effect=error))
        with pytest.raises(UserError, match=message):
            list(hub.documents(domain, 1000, 400))
