"""Mistakes in a config or in data end in one line that names the key or the file, its value and what is allowed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.running import PROJECT, run, snakemake, write_yaml

pytestmark = pytest.mark.workflow

STORIES = PROJECT.parent / "shared/data/stories260K-hf"  # a small language model, where there is one
needs_a_model = pytest.mark.skipif(not STORIES.is_dir(), reason="no small language model at ../shared/data")


def the_line(done) -> str:
    """The one line of ours in what a command printed."""
    printed = f"{done.stdout}\n{done.stderr}"
    assert done.returncode not in (0, None), printed
    assert "Traceback" not in printed
    ours = [line for line in printed.splitlines() if line.startswith("contextpress: ")]
    assert len(ours) == 1, printed
    return ours[0]


def assert_says(line: str, parts: tuple[str, ...]) -> None:
    assert [part for part in parts if part not in line] == [], line


def made(folder: Path) -> list[Path]:
    """Files that are there, but for logs and benchmarks."""
    inside = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in inside if not {"logs", "benchmarks"} & set(path.relative_to(folder).parts)]


# -- configuration: told before any job starts


@dataclass(frozen=True)
class Case:
    """What a config says, and what the message must name: key, value, what is allowed."""

    name: str
    config: dict[str, Any]
    says: tuple[str, ...]


def _domains(*domains: dict[str, Any]) -> dict[str, Any]:
    names = [domain["name"] for domain in domains]
    return {"corpus": {"domains": list(domains), "natural": names[:1], "formal": names[-1:]}}


def _models(**model: str) -> dict[str, Any]:
    return {"lm": {"models": [{"name": "D1", "pretrain": "D1"}, model]}}


PROSE, CODE = {"name": "prose", "kind": "embedded"}, {"name": "code", "kind": "embedded"}
CASES = [
    Case("unknown_key", {"seed": 3}, ("config key seed ", "not known", "seeds, corpus,")),
    Case(
        "unknown_nested_key",
        {"compressor": {"schedule": {"stepz": 5}}},
        ("config key compressor.schedule.stepz ", "not known", "steps, batch, learning_rate"),
    ),
    Case(
        "unknown_key_of_a_domain",
        _domains(PROSE, CODE | {"field": "text"}),
        ("config key corpus.domains[1].field ", "not known", "name, characters, kind, extract"),
    ),
    Case("word_for_a_number", {"corpus": {"test": "some"}}, ("config key corpus.test is", '"some"', "valid number")),
    Case(
        "fraction_for_a_count",
        {"tokens": {"passages": {"window": 16.5}}},
        ("config key tokens.passages.window is 16.5:", "valid integer"),
    ),
    Case("true_for_a_number", {"seeds": [True]}, ("config key seeds[0] is true:", "a number is wanted")),
    Case("number_for_a_section", {"lm": 5}, ("config key lm is 5:", "a section with keys")),
    Case("empty_section", {"tokens": None}, ("config key tokens is null:", "a section with keys")),
    Case("word_for_a_list", {"compressor": {"encoders": "D1"}}, ('compressor.encoders is "D1":', "a list is wanted")),
    Case("empty_list", {"seeds": []}, ("config key seeds is []:", "at least 1")),
    Case("too_large", {"corpus": {"validation": 0.6}}, ("config key corpus.validation is 0.6:", "less than 0.5")),
    Case("too_small", {"tokens": {"passages": {"test": 0}}}, ("tokens.passages.test is 0:", "greater than 1")),
    Case("not_finite", {"corpus": {"test": float("nan")}}, ("config key corpus.test is NaN:", "finite")),
    Case(
        "not_a_choice",
        {"compressor": {"connector": "cnn"}},
        ('compressor.connector is "cnn":', "'linear', 'mlp' or 'alignment'"),
    ),
    Case("not_a_measure", {"figures": {"measure": "rouge"}}, ('figures.measure is "rouge":', "'token_f1'")),
    Case(
        "ratio_that_does_not_divide",
        {"compressor": {"ratios": [4, 3]}},
        ("compressor.ratios has 3", "tokens.passages.window (16)", "1, 2, 4, 8, 16"),
    ),
    Case(
        "window_longer_than_the_context",
        {"tokens": {"passages": {"window": 128}}},
        ("lm.shapes base has a context of 128", "tokens.passages.window 128", "need 162"),
    ),
    Case(
        "natural_domain_not_defined",
        {"corpus": {"natural": ["poems"]}},
        ("corpus.natural names 'poems'", "defined: prose, code, arithmetic"),
    ),
    Case(
        "training_domain_not_defined",
        {"compressor": {"domains": {"poems": 1}}},
        ("compressor.domains names 'poems'", "defined: prose, code, arithmetic"),
    ),
    Case(
        "share_of_nothing",
        {"compressor": {"domains": {"prose": 0}}},
        ("config key compressor.domains.prose is 0:", "greater than 0"),
    ),
    Case(
        "model_not_defined", {"compressor": {"decoders": ["D3"]}}, ("compressor.decoders names 'D3'", "defined: D1, D6")
    ),
    Case("shape_not_defined", _models(name="D6", pretrain="D6", shape="huge"), ("names 'huge'", "defined: base")),
    Case("mixture_not_known", _models(name="D6", pretrain="D7"), ('lm.models[1].pretrain is "D7":', "'D1', 'D2'")),
    Case("model_without_an_origin", _models(name="D6"), ("lm.models[1]:", "model D6", "one of pretrain", "load")),
    Case(
        "loaded_model_without_its_tokenizer",
        {"lm": {"models": [{"name": name, "load": "some/model"} for name in ("D1", "D6")]}},
        ("model D1 is loaded", "tokens.tokenizer.load", "some/model"),
    ),
    Case(
        "foreign_tokenizer_for_a_model_from_scratch",
        {"tokens": {"tokenizer": {"load": "some/model"}}},
        ("model D1 is to be pretrained", "tokens.tokenizer.load", "load the model too"),
    ),
    Case("study_outside_its_folder", {"study": "../x"}, ('config key study is "../x":', "match pattern")),
    Case("study_of_two_folders", {"study": "a/b"}, ('config key study is "a/b":', "match pattern")),
    Case("seed_twice", {"seeds": [0, 1, 0]}, ("config key seeds is [0, 1, 0]:", "must differ")),
    Case("ratio_twice", {"compressor": {"ratios": [4, 4]}}, ("compressor.ratios is [4, 4]:", "must differ")),
    Case(
        "model_twice",
        {"lm": {"models": [{"name": name, "pretrain": "D1"} for name in ("D1", "D6", "D1")]}},
        ("lm.models has D1 twice", "must differ"),
    ),
    Case("domain_twice", _domains(PROSE, PROSE), ("config key corpus.domains:", "must differ", "prose is there twice")),
    Case("domain_on_both_sides", _domains(PROSE), ("prose is named twice", "natural and formal")),
    Case("domain_of_no_kind", _domains({"name": "prose"}), ("config key corpus.domains[0].kind is missing",)),
    Case(
        "domain_of_unknown_kind",
        _domains(PROSE, {"name": "web", "kind": "crawl"}),
        ('config key corpus.domains[1].kind is "crawl":', "'embedded', 'files', 'datasets'"),
    ),
    Case(
        "domain_with_a_bad_name",
        _domains({"name": "My Text", "kind": "arithmetic"}),
        ('config key corpus.domains[0].name is "My Text":', "match pattern"),
    ),
    Case(
        "embedded_domain_that_is_not_there",
        _domains({"name": "poems", "kind": "embedded"}),
        ("config key corpus.domains[0]:", "extract", "prose, apiref, code"),
    ),
    Case(
        "file_that_is_not_there",
        _domains(PROSE, {"name": "mine", "kind": "files", "path": "texts/mine.txt"}),
        ("domain mine", "texts/mine.txt", "does not exist"),
    ),
    Case(
        "pattern_that_matches_nothing",
        _domains(PROSE, {"name": "mine", "kind": "files", "path": "texts/*.txt"}),
        ("domain mine", "texts/*.txt", "matches no file"),
    ),
    Case(
        "file_of_a_kind_that_is_not_read",
        _domains(PROSE, {"name": "mine", "kind": "files", "path": "Snakefile"}),
        ("domain mine", "Snakefile", ".txt, .md, .jsonl, .parquet, .csv"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_config_is_told_before_any_job_starts(checkout, tmp_path, case):
    done = snakemake(checkout, "-n", overlay=write_yaml(tmp_path / "mine.yaml", case.config))
    assert_says(the_line(done), case.says)
    assert "Error" not in done.stdout + done.stderr  # no lines of Snakemake's around ours
    assert "common.smk" not in done.stdout + done.stderr
    assert made(checkout / "results") in ([], [checkout / "results/README.md"])
    assert not (checkout / "x").exists()  # where results/../x would be


def test_the_right_config_beside_them_is_accepted(checkout):
    done = snakemake(checkout, "-n")
    assert done.returncode == 0, done.stdout + done.stderr


# -- data: told by the job that meets them, in the log that Snakemake shows


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine.txt", b"", ("mine.txt", "is empty")),
        ("mine.txt", b" \n\n", ("mine.txt", "is empty")),
        ("mine.jsonl", b"", ("mine.jsonl", "is empty")),
        ("mine.jsonl", b'{"text": "one"}\n{"text": "two"\n', ("mine.jsonl:2:", "not JSON")),
        ("mine.jsonl", b'{"text": "one"}\n\n{"body": "two"}\n', ("mine.jsonl:3:", "no field 'text'", "'body'")),
        ("mine.jsonl", b'{"text": 1}\n', ("mine.jsonl:1:", "'text' is int", "not text")),
        ("mine.jsonl", b'["one"]\n', ("mine.jsonl:1:", "a JSON object", "not list")),
        ("mine.csv", b"body\none\n", ("mine.csv", "no column 'text'", "'body'")),
        ("mine.parquet", b"text", ("mine.parquet", "cannot be read as Parquet")),
        ("mine.txt", "Käse".encode("latin-1"), ("mine.txt", "not UTF-8", "0xe4", "offset 1")),
        ("mine.txt", b"one\0two", ("mine.txt", "binary", "offset 3", "UTF-8")),
    ],
    ids=[
        *("empty_text", "blank_text", "empty_lines", "not_json", "no_field", "field_not_text", "not_an_object"),
        *("no_column", "not_parquet", "not_utf8", "binary"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(checkout, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    config = _domains(PROSE, {"name": "mine", "kind": "files", "path": str(tmp_path / name)})
    overlay = write_yaml(tmp_path / "mine.yaml", {"study": "mine"} | config)
    done = snakemake(checkout, "results/mine/corpus/mine.parquet", overlay=overlay)
    line = the_line(done)
    assert_says(line, says)
    assert (checkout / "results/mine/logs/corpus/mine.log").read_text(encoding="utf-8") == f"{line}\n"
    assert made(checkout / "results/mine") == []


def test_too_little_text_is_told(checkout, tmp_path):
    (tmp_path / "mine.txt").write_text("one\n", encoding="utf-8")
    config = _domains(PROSE, {"name": "mine", "kind": "files", "path": str(tmp_path / "mine.txt")})
    overlay = write_yaml(tmp_path / "mine.yaml", {"study": "short"} | config)
    done = snakemake(checkout, "results/short/corpus/mine.parquet", overlay=overlay)
    assert_says(the_line(done), ("domain mine has 1 source", "validation and test", "at least three"))
    assert made(checkout / "results/short") == []


def _passages(documents: Path, folder: Path, tmp_path: Path, spec: dict[str, int]):
    out = tmp_path / "out"
    options = ("--output", out / "passages.parquet", "--ladder-output", out / "ladder.parquet")
    spec = json.dumps({"window": 16, "test": 16, "validation": 8} | spec)
    return run(
        folder,
        *("contextpress", "tokens", "passages", "--spec", spec, "--documents", documents),
        *("--tokenizer", "results/smoke/tokens/tokenizer", *options),
    )


def test_fewer_passages_than_asked_for_are_told(finished, tmp_path):
    done = _passages(finished / "results/smoke/corpus/prose.parquet", finished, tmp_path, {"test": 90_000})
    assert_says(the_line(done), ("tokens.passages.test is 90000", "domain prose holds only", "passages of 16 tokens"))
    assert made(tmp_path / "out") == []


def test_a_broken_table_is_told(finished, tmp_path):
    (tmp_path / "prose.parquet").write_bytes(b"PAR1")
    done = _passages(tmp_path / "prose.parquet", finished, tmp_path, {})
    assert_says(the_line(done), ("prose.parquet", "cannot be read as Parquet"))
    assert made(tmp_path / "out") == []


# -- models


def _load(path: str | Path, finished: Path, out: Path, positions: int = 32):
    spec = json.dumps({"name": "L", "path": str(path), "revision": None, "positions": positions})
    return run(
        finished,
        *("contextpress", "lm", "load", "--spec", spec, "--tokenizer", "results/smoke/tokens/tokenizer"),
        *("--output", out, "--record", out / "record.json"),
    )


@pytest.mark.parametrize("path", ["no/such", "/no/such/folder", "no/such/folder"])
def test_a_model_that_is_not_there_is_told(finished, tmp_path, path):
    assert_says(
        the_line(_load(path, finished, tmp_path / "out")), (path, "cannot be loaded", "there is no such folder")
    )
    assert made(tmp_path / "out") == []


@needs_a_model
def test_a_model_with_another_tokenizer_is_told(finished, tmp_path):
    line = the_line(_load(STORIES, finished, tmp_path / "out"))
    assert_says(line, ("model L", str(STORIES), "another tokenizer", "tokens.tokenizer.load"))
    assert made(tmp_path / "out") == []


def test_a_model_that_reads_too_little_is_told(finished, tmp_path):
    folder = tmp_path / "short"
    shutil.copytree(finished / "results/smoke/lm/D1-s0", folder)
    shutil.copytree(finished / "results/smoke/tokens/tokenizer", folder, dirs_exist_ok=True)
    line = the_line(_load(folder, finished, tmp_path / "out", positions=129))
    assert_says(line, ("model L", str(folder), "at most 128 positions", "tokens.passages.window", "needs 129"))
    assert made(tmp_path / "out") == []
    assert _load(folder, finished, tmp_path / "out", positions=128).returncode == 0


# -- the command itself


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ('{"window": 16', ("--spec is not JSON", "line 1")),
        ('{"windw": 16}', ("config key windw is not known", "window, test, validation, ladder")),
        ('{"window": true}', ("config key window is true:", "a number is wanted")),
        ("[16]", ("is [16]:", "a section with keys")),
        ("no.json", ("--spec is neither JSON nor a file", "No such file")),
    ],
)
def test_a_wrong_spec_is_told(checkout, tmp_path, spec, says):
    out = tmp_path / "out.parquet"
    done = run(
        checkout,
        *("contextpress", "tokens", "passages", "--spec", spec, "--documents", "none.parquet"),
        *("--tokenizer", "none", "--output", out, "--ladder-output", out),
    )
    assert done.returncode == 2
    assert_says(the_line(done), says)
    assert not out.exists()
