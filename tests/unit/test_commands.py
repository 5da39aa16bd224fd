"""The commands beside the pipeline, run in process, and the README's examples of them."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress import Compressor, Memory
from contextpress.cli import COMMANDS, ROOMS, main
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.fit import fit
from contextpress.runtime.progress import Progress
from contextpress.runtime.runs import JOBS_VARIABLE, Run, signed_in
from contextpress.runtime.schedule import Schedule
from tests.unit.models import tiny_study

README = Path(__file__).resolve().parents[2] / "README.md"
TEXT = "a few words, and some more of them to train on"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("study") / "results/tried")


@pytest.fixture
def standard_input(monkeypatch):
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def the_error(capsysbinary) -> str:
    told = capsysbinary.readouterr()
    assert told.out == b""
    line = told.err.decode()
    assert line.startswith("contextpress: ") and line.count("\n") == 1 and line.endswith("\n"), line
    return line


def test_help_lists_every_command_in_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for name, summary in (COMMANDS | ROOMS).items():
        assert sum(re.fullmatch(rf"    {name} +{re.escape(summary)}", line) is not None for line in lines) == 1, name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: contextpress {name} ")
    assert COMMANDS[name] in told


# -- compress and reconstruct


def test_a_file_becomes_memory_and_text_again(folder, tmp_path, capsysbinary):
    (tmp_path / "a.txt").write_text(TEXT)
    assert run("compress", "--compressor", folder, tmp_path / "a.txt", "--output", tmp_path / "m.safetensors") == 0
    memory = Memory.load(tmp_path / "m.safetensors")
    compressor = Compressor.from_pretrained(folder)
    assert memory.names == (str(tmp_path / "a.txt"),)
    assert memory.tokens == (len(compressor.tokenizer(TEXT)["input_ids"]),)
    expected = compressor.reconstruct(compressor.compress([TEXT]))[0]
    assert capsysbinary.readouterr().out == b""
    assert run("reconstruct", tmp_path / "m.safetensors") == 0
    assert capsysbinary.readouterr().out == expected.encode()


def test_several_texts_are_told_apart(folder, tmp_path, capsysbinary):
    for name in "ab":
        (tmp_path / name).write_text(TEXT[ord(name) :] or TEXT[ord(name) % 10 :])
    assert run("compress", "--compressor", folder, tmp_path / "a", tmp_path / "b", "--output", tmp_path / "m") == 0
    assert run("reconstruct", tmp_path / "m") == 0
    written = Compressor.from_pretrained(folder).reconstruct(Memory.load(tmp_path / "m"))
    expected = f"==> {tmp_path}/a <==\n{written[0]}\n==> {tmp_path}/b <==\n{written[1]}\n"
    assert capsysbinary.readouterr().out == expected.encode()


def test_standard_input_and_output_do_the_same(folder, tmp_path, standard_input, capsysbinary):
    (tmp_path / "a.txt").write_text(TEXT)
    assert run("compress", "--compressor", folder, tmp_path / "a.txt", "--output", tmp_path / "m") == 0
    standard_input(TEXT.encode())
    assert run("compress", "--compressor", folder) == 0
    data = capsysbinary.readouterr().out
    piped = Memory.from_bytes(data, "piped")
    assert piped.names == ("standard input",)
    assert piped.vectors[0].equal(Memory.load(tmp_path / "m").vectors[0])
    standard_input(data)
    assert run("reconstruct") == 0
    said = capsysbinary.readouterr().out
    assert run("reconstruct", tmp_path / "m") == 0
    assert said == capsysbinary.readouterr().out


def test_a_compressor_that_has_moved_is_named(tmp_path, capsysbinary):
    own = tiny_study(tmp_path / "results/tried")
    (tmp_path / "a").write_text(TEXT)
    assert run("compress", "--compressor", own, tmp_path / "a", "--output", tmp_path / "m") == 0
    assert run("reconstruct", tmp_path / "m") == 0
    expected = capsysbinary.readouterr().out
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    assert run("reconstruct", tmp_path / "m") == 2
    assert "no longer at" in the_error(capsysbinary)
    assert run("reconstruct", tmp_path / "m", "--compressor", tmp_path / "elsewhere/tried/compressors/tried") == 0
    assert capsysbinary.readouterr().out == expected


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a.txt is empty"),
        (b" \n", "a.txt is empty"),
        (b"one\0two", "a.txt is binary (a zero byte at offset 3)"),
        ("Käse".encode("latin-1"), "a.txt is not UTF-8: byte 0xe4 at offset 1"),
        (None, "a.txt cannot be read: No such file or directory"),
    ],
)
def test_text_that_cannot_be_pressed_is_told_in_one_line(folder, tmp_path, capsysbinary, data, says):
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    assert run("compress", "--compressor", folder, tmp_path / "a.txt", "--output", tmp_path / "m") == 2
    assert says in the_error(capsysbinary)
    assert not (tmp_path / "m").exists()


def test_other_mistakes_are_told_in_one_line(folder, tmp_path, standard_input, capsysbinary):
    (tmp_path / "a.txt").write_text(TEXT)
    assert run("compress", "--compressor", tmp_path, tmp_path / "a.txt", "--output", tmp_path / "m") == 2
    assert "is no compressor's folder" in the_error(capsysbinary)
    assert run("compress", "--compressor", folder, tmp_path, "--output", tmp_path / "m") == 2
    assert "Is a directory" in the_error(capsysbinary)
    assert run("reconstruct", tmp_path / "a.txt") == 2
    assert "a.txt is no memory file" in the_error(capsysbinary)
    assert run("reconstruct", tmp_path / "b.txt") == 2
    assert "b.txt cannot be read: No such file" in the_error(capsysbinary)
    standard_input(b"")
    assert run("compress", "--compressor", folder) == 2
    assert "standard input is empty" in the_error(capsysbinary)
    standard_input(b"")
    assert run("reconstruct") == 2
    assert "standard input is no memory file" in the_error(capsysbinary)


def test_memory_is_not_written_to_a_terminal(folder, monkeypatch, capsysbinary):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("compress", "--compressor", folder) == 2
    assert "--output" in the_error(capsysbinary)


# -- the README


def test_the_readmes_examples_work_as_written(tmp_path, monkeypatch, capsysbinary, standard_input):
    section = README.read_text().partition("## Use a trained compressor")[2].partition("\n## ")[0]
    python = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    shell = re.findall(r"^    (contextpress .*)$", section, re.MULTILINE)
    assert len(python) == 1 and len(shell) >= 3
    named = set(re.findall(r"results/default/compressors/[\w-]+", section))
    assert len(named) == 1
    monkeypatch.chdir(tmp_path)
    tiny_study(tmp_path / "results/default", Path(named.pop()).name)
    (tmp_path / "results/default/logs").mkdir()
    (tmp_path / "notes.txt").write_text(TEXT)
    found: dict = {}
    exec(python[0], found)
    assert len(found["texts"]) == len(found["memory"]) and all(found["texts"])
    out = b""
    for line in shell:
        out += capsysbinary.readouterr().out
        for number, part in enumerate(line.partition("#")[0].split("|")):
            command, _, source = part.partition("<")
            if number:
                standard_input(capsysbinary.readouterr().out)
            elif source:
                standard_input(Path(source.strip()).read_bytes())
            assert run(*shlex.split(command)[1:]) == 0, line
    out = (out + capsysbinary.readouterr().out).decode()
    assert found["compressor"].reconstruct(found["compressor"].compress([TEXT]))[0] in out
    assert "no job is at work" in out


# -- status

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_ -]{0,20}", fullmatch=True)


@given(names, st.integers(1, 10**6), st.data(), st.floats(0, 99), st.floats(0, 1e9), st.floats(0, 1e7))
def test_a_line_of_progress_is_read_again(name, steps, data, loss, speed, left):
    told = Progress(name, data.draw(st.integers(1, steps)), steps, loss, speed, left)
    lines = f"Loading weights: 100%|###| 11/11\n{told.line()}\n"
    read = Progress.last(lines + "something else\n")
    assert read == Progress(name, told.done, steps, round(loss, 3), round(speed), round(left))
    assert Progress.last("") is None
    assert Progress.last(lines + Progress("b", 1, 2, 1.0, 1.0, 1.0).line()).name == "b"


class Known(torch.nn.Linear):
    """Whose loss at a step is that step."""

    def forward(self, step: int) -> torch.Tensor:
        return 0 * super().forward(torch.ones(3)).sum() + step


@pytest.mark.parametrize("terminal", [False, True])
def test_a_training_tells_its_progress_every_ten_seconds(terminal, monkeypatch, caplog, capsys):
    caplog.set_level(logging.INFO)
    clock = itertools.count(0, 4)  # a step takes four seconds
    monkeypatch.setattr("contextpress.runtime.fit.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    fit("trial", Known(3, 3), lambda step: (step,), Schedule(steps=8, batch=1, learning_rate=0.01), 1000)
    drawn = capsys.readouterr().err
    said = (
        drawn.replace("\r", "").replace(" trial", "\ntrial").rstrip(" \n") if terminal else "\n".join(caplog.messages)
    )
    told = [(one.name, one.done, one.steps, one.loss, one.speed, one.left) for one in Progress.all(said)]
    # Tokens per second: 1000 tokens in 8 steps of 4 s. Loss: the mean of the steps so far.
    assert told == [("trial", 3, 8, 1.0, 31, 20), ("trial", 6, 8, 2.5, 31, 8), ("trial", 8, 8, 3.5, 31, 0)]
    assert drawn.count("\r") == (3 if terminal else 0)  # on a terminal one line, drawn over itself


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a study: one training has ended, one was stopped, and the log of another kind of job."""
    monkeypatch.chdir(tmp_path)
    logs = tmp_path / "results/tried/logs"
    for part, done, age in (("lm/D1-s0", 80, 3600), ("compressors/D1-D1", 20, 60)):
        log = logs / f"{part}.log"
        log.parent.mkdir(parents=True)
        log.write_text(Progress(Path(part).name, done, 80, 2.5, 1000.0, 90.0).line() + "\n")
        os.utime(log, (time.time() - age,) * 2)
    (logs / "tables.log").write_text("nothing of the kind\n")
    return tmp_path


def status(capsys, *arguments: object) -> list[str]:
    assert run("status", *arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_status_when_nothing_runs(project, capsys):
    assert status(capsys) == [
        "no job is at work",
        "",
        "last trainings     study  ended          step   loss",
        "compressors/D1-D1  tried  60 s ago       20/80  2.500  stopped",
        "lm/D1-s0           tried  1 h 0 min ago  80/80  2.500",
    ]
    assert status(capsys, "--study", "tried") == status(capsys, "--study", project / "results/tried") == status(capsys)


def test_status_of_a_project_without_studies(tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    assert status(capsys) == ["no job is at work"]
    monkeypatch.chdir(tmp_path / "results")
    assert run("status") == 2
    assert "there is no folder results in" in capsys.readouterr().err
    assert run("status", "--study", "tried") == 2
    assert "there is no study tried; studies in" in capsys.readouterr().err


JOB = """
import sys, time
from contextpress.runtime.runs import signed_in
with signed_in():
    print("at work", flush=True)
    time.sleep(600)
"""


def test_status_of_jobs_at_work(project, capsys, monkeypatch):
    monkeypatch.setenv(JOBS_VARIABLE, "")  # so that it is put back
    Run(project / ".snakemake").start()
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    made = [
        "--checkpoints",
        "results/tried/checkpoints/compressors/D1-D1",
        "--output",
        "results/tried/compressors/D1-D1",
    ]
    training = [sys.executable, "-c", JOB, "compressor", "train", *made]
    job = subprocess.Popen(training, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None and job.stdout.readline() == "at work\n"
        monkeypatch.delenv(JOBS_VARIABLE)  # or what is run here would sign in as well
        head, row, *rest = status(capsys)
        assert head.split() == ["at", "work", "study", "since", "step", "loss", "left"]
        assert re.fullmatch(r"compressor train D1-D1  tried  \d+ s", row)  # the log is of an earlier attempt
        assert [line.split()[0] for line in rest if line] == ["last", "lm/D1-s0"]
        log = project / "results/tried/logs/compressors/D1-D1.log"
        log.write_text(Progress("D1-D1", 40, 80, 1.25, 1000.0, 90.0).line() + "\n")
        os.utime(log, (time.time() + 30,) * 2)
        assert re.search(r"tried  \d+ s +40/80  1\.250  (120|119) s$", status(capsys)[1])
        os.utime(log, (time.time() + 1,) * 2)
        assert re.search(r"40/80  1\.250  (91|90) s$", status(capsys, "--study", "tried")[1])
        (project / "results/other/logs").mkdir(parents=True)
        assert status(capsys, "--study", "other") == ["no job is at work"]
    finally:
        job.kill()
        job.communicate()
    assert status(capsys)[0] == "no job is at work"  # its note is still there
    assert list((project / ".snakemake").glob("runs/*/*"))


def test_a_job_of_another_host_is_shown_as_such(project, capsys):
    note = project / ".snakemake/runs/far.1/far.12"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"arguments": ["lm", "train", "--output", "results/tried/lm/D6-s0"], "slurm": "77"}))
    (note.parent / "config.json").write_text("{}")  # what that run began with: no job
    assert status(capsys)[1].startswith("lm train D6-s0 on far  tried  ")
    note.rename(note.with_name(f"{socket.gethostname()}.{2**22 + 1}"))  # more than Linux gives
    assert status(capsys)[0] == "no job is at work"


def test_a_training_by_several_processes_is_one_job(project, capsys):
    jobs = project / ".snakemake/runs/far.1"
    jobs.mkdir(parents=True)
    for name, part in (("far.12", "D6-s0"), ("far.13", "D6-s0"), ("far.14", "D1-s0"), ("near.12", "D6-s0")):
        arguments = ["lm", "train", "--output", f"results/tried/lm/{part}"]
        (jobs / name).write_text(json.dumps({"arguments": arguments, "slurm": ""}))
    rows = sorted(line.split("  ")[0] for line in status(capsys)[1:5] if line)
    assert rows == ["lm train D1-s0 on far", "lm train D6-s0 on far", "lm train D6-s0 on near"]


def test_a_job_that_is_just_signing_in_is_shown(project, capsys):
    note = project / ".snakemake/runs/far.1/far.12"
    note.parent.mkdir(parents=True)
    for said in ("", '{"arguments": ["lm", '):
        note.write_text(said)
        assert status(capsys)[1].split()[:2] == ["on", "far"]


def test_a_job_says_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setenv(JOBS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(sys, "argv", ["contextpress", "lm", "train"])
    with signed_in():
        (note,) = tmp_path.iterdir()
        told = {"arguments": ["lm", "train"], "slurm": "77", "waiting": os.getpid()}
        assert json.loads(note.read_text()) == told
