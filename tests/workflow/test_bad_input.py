"""Bad input ends in one line that names the key or the file, its value and what is allowed: no traceback, no hang.

The table is tried on the functions that the Snakefile, its profile and its jobs call, in this process; a few cases of
every kind are then tried on Snakemake and on the command themselves.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

from contextpress.cli import main
from contextpress.configfiles import check_arguments, read_config
from contextpress.corpus.spec import CorpusSpec, LocalFiles, UniformWords, domain_spec
from contextpress.plan import Plan
from contextpress.runtime.errors import UserError
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.models import tiny
from tests.workflow.bad_input import CASES, FILES, MODELS, WORDS, Case
from tests.workflow.running import PROJECT, SMOKE, run, snakemake, write_yaml

pytestmark = pytest.mark.workflow

OURS = "contextpress: "
SECONDS = 60  # more than any case takes on a busy machine; a hang takes for ever


def the_line(printed: str) -> str:
    """The one line of ours in what was printed."""
    assert "Traceback" not in printed
    ours = [line for line in printed.splitlines() if line.startswith(OURS)]
    assert len(ours) == 1, printed
    return ours[0]


def assert_says(line: str, parts: tuple[str, ...]) -> None:
    assert [part for part in parts if part not in line] == [], line


def made(folder: Path) -> list[Path]:
    """Files that are there, but for logs and benchmarks."""
    inside = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in inside if not {"logs", "benchmarks"} & set(path.relative_to(folder).parts)]


@pytest.fixture
def limit():
    def too_long(*_: object) -> None:
        raise AssertionError(f"not refused within {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# -- the table, in this process


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A small causal language model and its tokenizer, as transformers saves them."""
    folder = tmp_path_factory.mktemp("model")
    tiny("llama", vocab_size=WORDS).save_pretrained(folder)
    train_tokenizer(
        ["Words of a kind, " + "and of others. " * 50, "".join(map(chr, range(48, 500)))], WORDS
    ).save_pretrained(folder)
    return folder


def of_config(config: dict) -> str:
    values = load_configfile(PROJECT / SMOKE)
    update_config(values, config)
    with pytest.raises(UserError) as told:
        Plan(values).check()
    return f"{OURS}{told.value}"


def of_file(made_of: object, tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_bytes(made_of) if isinstance(made_of, bytes) else made_of(path)
    with pytest.raises(SystemExit) as told:
        check_arguments(["all", "-n", "--configfile", str(PROJECT / SMOKE), str(path), "--cores", "2"])
    assert str(path) in told.value.code
    return told.value.code


def of_corpus(named: str, make, tmp_path: Path, capfd) -> str:
    make(tmp_path / named)
    domains = [{"name": "mine", "kind": "files", "path": str(tmp_path / named)}]
    try:
        plan = Plan({"corpus": {"domains": domains, "natural": ["mine"], "formal": ["mine"]}})
        plan.files("mine")  # what Snakemake asks for first
    except UserError as error:
        return f"{OURS}{error}"
    assert main(["corpus", "domain", "--spec", plan.domain("mine").line(), "--output", "out/mine.parquet"]) == 2
    return the_line(capfd.readouterr().err)


def of_model(change, good: Path, tmp_path: Path, capfd) -> str:
    folder = tmp_path / "folder"
    shutil.copytree(good, folder)
    change(folder)
    assert main(load_arguments(folder, good)) == 2
    line = the_line(capfd.readouterr().err)
    assert str(folder) in line
    return line


def load_arguments(folder: Path | str, tokenizer: Path) -> list[str]:
    spec = json.dumps({"name": "L", "path": str(folder), "revision": None, "positions": 32})
    return ["lm", "load", "--spec", spec, "--tokenizer", str(tokenizer), "--output", "out", "--record", "out/record"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_ends_in_one_line(case: Case, tmp_path, monkeypatch, capfd, model_folder, limit):
    monkeypatch.chdir(tmp_path)
    if case.kind == "config":
        line = of_config(case.given)
    elif case.kind == "file":
        line = of_file(case.given, tmp_path)
    elif case.kind == "corpus":
        line = of_corpus(*case.given, tmp_path, capfd)
    else:
        line = of_model(case.given, model_folder, tmp_path, capfd)
    assert line.startswith(OURS)
    assert line.isprintable()  # so there is no second line
    assert len(line) < 2000
    assert_says(line, case.says)
    assert not (tmp_path / "results").exists()
    assert not made(tmp_path / "out") or made(tmp_path / "out") == []
    assert list(tmp_path.rglob("pwned")) == []


def test_the_table_is_large_and_its_names_differ():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


# -- what is right beside it


def test_the_right_model_is_accepted(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(load_arguments(model_folder, model_folder)) == 0
    assert (tmp_path / "out/model.safetensors").is_file()


def test_config_files_are_read_as_snakemake_reads_them(tmp_path):
    (tmp_path / "mine.json").write_text('{"seeds": [0, 1],\n\t"corpus": {"test": 0.2}}')
    (tmp_path / "mine.yaml").write_text("seeds: [0x10, 1_0]\nstudy: 'on'\ncorpus:\n  test: 1.0e-1\n")
    for path in [PROJECT / "config/config.yaml", *(PROJECT / "config/presets").iterdir(), *tmp_path.iterdir()]:
        assert read_config(path) == load_configfile(path)


# -- passages and specs


@pytest.fixture(scope="session")
def documents(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "words.parquet"
    spec = domain_spec(UniformWords(name="words", words=2), CorpusSpec(characters=100_000))
    assert main(["corpus", "domain", "--spec", spec.line(), "--output", str(path)]) == 0
    return path


def passages(spec: str, documents: Path | str, tokenizer: Path | str) -> list[str]:
    inputs = ["--spec", spec, "--documents", str(documents), "--tokenizer", str(tokenizer)]
    return ["tokens", "passages", *inputs, "--output", "out/passages.parquet", "--ladder-output", "out/ladder.parquet"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ('{"window": 16, "test": 90000}', ("tokens.passages.test is 90000", "domain words holds only", "of 16 tokens")),
        ('{"window": 8192, "validation": 2}', ("tokens.passages.validation is 2", "holds only 0 passages of 8192")),
        ('{"window": 16', ("--spec is not JSON", "line 1")),
        ("[" * 99_999, ("--spec is not JSON", "recursion")),
        ('{"windw": 16}', ("config key windw is not known", "window, test, validation, ladder")),
        ('{"window": true}', ("config key window is true:", "a number is wanted")),
        ("[16]", ("is [16]:", "a section with keys")),
        ("no.json", ("--spec is neither JSON nor a file", "No such file")),
    ],
)
def test_a_wrong_spec_is_told(documents, model_folder, tmp_path, monkeypatch, capfd, spec, says):
    monkeypatch.chdir(tmp_path)
    assert main(passages(spec, documents, model_folder)) == 2
    assert_says(the_line(capfd.readouterr().err), says)
    assert not made(tmp_path / "out")


def test_broken_files_of_a_study_are_told(documents, model_folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("broken.parquet").write_bytes(b"PAR1")
    Path("broken.safetensors").write_bytes(b"\xff" * 9)
    spec = json.dumps({"name": "D1", "weights": {"words": 1.0}, "tokens": 100, "row": 8})
    mixture = ["tokens", "mixture", "--spec", spec, "--tokenizer", str(model_folder), "--arrays", "broken.safetensors"]
    for arguments, says in (
        (passages("{}", "broken.parquet", model_folder), ("broken.parquet", "cannot be read as Parquet")),
        ([*mixture, "--output", "out/x", "--manifest", "out/y"], ("broken.safetensors", "cannot be read as safetens")),
    ):
        assert main(arguments) == 2
        assert_says(the_line(capfd.readouterr().err), says)
        assert not made(Path("out"))


@pytest.mark.parametrize("path", ["no/such", "/no/such/folder", "no/such/folder", "~nobody/no", "m" * 5000])
def test_a_model_that_is_not_there_is_told(model_folder, tmp_path, monkeypatch, capfd, path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert main(load_arguments(path, model_folder)) == 2
    assert_says(the_line(capfd.readouterr().err), (path, "cannot be loaded", "there is no such folder"))


def test_a_model_with_another_tokenizer_is_told(model_folder, tmp_path, monkeypatch, capfd):
    other = tmp_path / "other"
    train_tokenizer(["Other words. " * 50, "".join(map(chr, range(500, 900)))], WORDS).save_pretrained(other)
    monkeypatch.chdir(tmp_path)
    assert main(load_arguments(model_folder, other)) == 2
    says = ("model L", str(model_folder), "another tokenizer", "tokens.tokenizer.load")
    assert_says(the_line(capfd.readouterr().err), says)


# -- Snakemake and the command themselves


@pytest.mark.parametrize(
    ("file", "arguments", "says"),
    [
        ("study: ../x\n", (), ('config key study is "../x":', "match pattern")),
        ("", ("--config", "study=../x"), ('config key study is "../x":', "match pattern")),
        ("", ("--config", "seeds=&a [*a]"), ('config key seeds is "&a [*a]":', "a list is wanted")),
        (FILES["template"][0].decode(), (), ("mine.yaml", "__use_yte__", "not read")),
        (FILES["key_twice"][0].decode(), ("--workflow-profile", "none"), ("mine.yaml, line 2", "study is there twice")),
        (None, (), ("mine.yaml", "does not exist")),
    ],
    ids=["config", "option", "alias_in_an_option", "template", "without_the_profile", "missing"],
)
def test_snakemake_tells_it_before_any_job_starts(checkout, tmp_path, file, arguments, says):
    overlay = tmp_path / "mine.yaml"
    if file is not None:
        overlay.write_text(file or "seeds: [0]\n", encoding="utf-8")
    done = snakemake(checkout, "-n", *arguments, overlay=overlay)
    printed = done.stdout + done.stderr
    assert done.returncode not in (0, None)
    assert_says(the_line(printed), says)
    assert "Error" not in printed  # no lines of Snakemake's around ours
    assert "common.smk" not in printed
    assert made(checkout / "results") in ([], [checkout / "results/README.md"])
    assert not (checkout / "x").exists()  # where results/../x would be
    assert list(checkout.rglob("pwned")) == []


def test_a_wrong_file_is_told_by_the_job_that_meets_it(checkout, tmp_path):
    (tmp_path / "mine.jsonl").write_bytes(b'{"text": "one"}\n{"text": "two"\n')
    overlay = write_yaml(tmp_path / "mine.yaml", {"study": "mine"} | mine(tmp_path / "mine.jsonl"))
    done = snakemake(checkout, "results/mine/corpus/mine.parquet", overlay=overlay)
    assert done.returncode not in (0, None)
    line = the_line(done.stdout + done.stderr)
    assert_says(line, ("mine.jsonl:2:", "not JSON"))
    assert (checkout / "results/mine/logs/corpus/mine.log").read_text(encoding="utf-8") == f"{line}\n"
    assert made(checkout / "results/mine") == []


def test_hostile_values_are_values_in_a_shell(checkout, tmp_path):
    path = tmp_path / 'a\'; touch pwned; "$(touch pwned)" `touch pwned` *.jsonl'
    field = "$(touch pwned)'; touch pwned #\n{input}\\"
    path.write_text("".join(json.dumps({field: f"text {number}"}) + "\n" for number in range(20)), encoding="utf-8")
    overlay = write_yaml(tmp_path / "mine.yaml", {"study": "hostile"} | mine(tmp_path / "a*.jsonl", field=field))
    done = snakemake(checkout, "results/hostile/corpus/mine.parquet", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (checkout / "results/hostile/corpus/mine.parquet").is_file()
    assert list(checkout.rglob("pwned")) == []


def mine(path: Path, **domain: str) -> dict:
    domains = [LocalFiles(name="mine", path=str(path), **domain).model_dump(), {"name": "code", "kind": "embedded"}]
    return {"corpus": {"domains": domains, "natural": ["mine"], "formal": ["code"]}}


def test_the_command_prints_one_line_and_no_other(checkout, model_folder, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(model_folder, folder)
    change, says = MODELS["weight_missing"]
    change(folder)
    done = run(checkout / "workflow", sys.executable, "-m", "contextpress.cli", *load_arguments(folder, model_folder))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert_says(the_line(done.stderr), says)


def test_the_right_config_beside_them_is_accepted(checkout):
    done = snakemake(checkout, "-n")
    assert done.returncode == 0, done.stdout + done.stderr
