"""A job that is a fork does, prints and ends as one that starts by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from snakemake import benchmark

from contextpress.runtime import measured
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.forks import VARIABLE
from contextpress.runtime.measured import measure_forks
from contextpress.runtime.runs import JOBS_VARIABLE, Job
from tests.unit.small_study import PLAN, STEPS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks jobs")

# In place of Snakemake: lives until its standard input is closed.
KEEPER = """
import os, sys
from contextpress.runtime.forks import VARIABLE, keep_forker
keep_forker()
print(os.environ[VARIABLE], flush=True)
sys.stdin.read()
"""
COMMAND = [sys.executable, "-m", "contextpress.cli"]
SPEC = PLAN.domain("sums").line()


class Keeper:
    """What keeps a forker, and starts jobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder, folder / "jobs"
        self.ignored: set[signal.Signals] = set()
        self.jobs.mkdir()
        os.mkfifo(folder / "spec")  # whoever reads its spec there waits until somebody writes one
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTEXTPRESS")}
        self.environment = environment | {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", KEEPER],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.name = self.process.stdout.readline().strip()
        (self.forker,) = psutil.Process(self.process.pid).children()

    def start(self, *words: str, forked: bool = True, **variables: str) -> subprocess.Popen[str]:
        named = {VARIABLE: self.name} if forked else {}
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment | {JOBS_VARIABLE: str(self.jobs)} | named | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=self.behave,
        )

    def behave(self) -> None:
        """In a command that is just starting: a shell's background job, as all this may be one, ignores ^C."""
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)

    def waiting(self, **variables: str) -> tuple[subprocess.Popen[str], psutil.Process]:
        """A job that waits for its spec: the command, and the process that does the work."""
        command = self.start(*COMMAND, "corpus", "domain", "--spec", "spec", "--output", "made.parquet", **variables)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert command.poll() is None, command.communicate()
            for note in self.jobs.iterdir():
                job = Job.of(note)
                if job.waiting == command.pid and job.arguments:
                    return command, psutil.Process(job.process)
            time.sleep(0.01)
        raise AssertionError("no job has signed in")

    def release(self) -> None:
        (self.folder / "spec").write_text(SPEC)


@pytest.fixture
def keeper(tmp_path) -> Iterator[Keeper]:
    kept = Keeper(tmp_path)
    yield kept
    kept.process.kill()
    kept.process.wait()
    for pipe in (kept.process.stdin, kept.process.stdout):
        pipe.close()
    ended = gone(kept.forker)
    if not ended:
        kept.forker.kill()
    assert ended


def gone(process: psutil.Process) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + 30
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.01)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def state(process: psutil.Process, wanted: str) -> str:
    until = time.monotonic() + 30
    while process.status() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    return process.status()


def test_a_model_is_trained_to_the_same_bytes(keeper):
    def make(name: str, forked: bool = True) -> None:
        command, spec, _ = STEPS[name]
        job = keeper.start(*COMMAND, *command.split(), "--spec", spec.line(), forked=forked)
        printed = job.communicate(timeout=120)
        assert job.returncode == 0, printed

    for name in ("domain", "tokenizer", "warmup"):
        make(name)
    one = (keeper.folder / "warmup/model.safetensors").read_bytes()
    assert "libtorch" in " ".join(file.path for file in keeper.forker.memory_maps())  # so that it was a fork
    make("warmup", forked=False)
    assert (keeper.folder / "warmup/model.safetensors").read_bytes() == one


def test_what_is_printed_and_the_status_of_a_mistake_are_the_same(keeper):
    words = [*COMMAND, "corpus", "domain", "--spec", '{"name": 3}', "--output", "made.parquet"]
    jobs = [keeper.start(*words, forked=forked) for forked in (True, False)]
    one, other = (job.communicate(timeout=60) for job in jobs)
    assert one == other
    assert one[1].startswith("contextpress: ")
    assert [job.returncode for job in jobs] == [2, 2]


def test_files_that_a_shell_has_opened_and_its_mask_are_handed_on(keeper):
    command = f"umask 027; {' '.join(COMMAND)} corpus domain --spec <(printf %s '{SPEC}') --output made.parquet"
    job = keeper.start("bash", "-c", command)
    assert job.communicate(timeout=60) == ("", "")
    assert job.returncode == 0
    assert (keeper.folder / "made.parquet").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_fork_and_the_command_ends_by_the_same(keeper, number):
    command, fork = keeper.waiting()
    assert fork.pid != command.pid
    keeper.forker.send_signal(number)  # as where all processes of a run get it
    assert fork.is_running()
    command.send_signal(number)
    assert command.wait(30) == -number
    assert gone(fork)
    assert command.communicate()[1] == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_a_command_ignores_its_fork_ignores(keeper, number):
    keeper.ignored = {number}
    command, fork = keeper.waiting()
    command.send_signal(number)
    fork.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(0.5)
    assert fork.status() == psutil.STATUS_SLEEPING
    keeper.release()
    assert command.wait(60) == 0


def test_a_command_that_is_stopped_stops_its_fork(keeper):
    command, fork = keeper.waiting()
    command.send_signal(signal.SIGTSTP)
    waits = psutil.Process(command.pid)
    assert state(fork, psutil.STATUS_STOPPED) == state(waits, psutil.STATUS_STOPPED) == psutil.STATUS_STOPPED
    command.send_signal(signal.SIGCONT)
    assert state(fork, psutil.STATUS_SLEEPING) == state(waits, psutil.STATUS_SLEEPING) == psutil.STATUS_SLEEPING
    keeper.release()
    assert command.wait(60) == 0


def test_a_killed_command_takes_its_fork_along_and_a_killed_fork_its_command(keeper):
    command, fork = keeper.waiting()
    command.kill()
    assert gone(fork)
    command, fork = keeper.waiting()
    fork.kill()
    assert command.wait(30) == -signal.SIGKILL


def test_without_its_forker_a_job_ends_and_the_next_ones_start_by_themselves(keeper):
    command, fork = keeper.waiting()
    command.send_signal(signal.SIGSTOP)
    keeper.forker.kill()
    assert gone(keeper.forker)
    for number in (signal.SIGTERM, signal.SIGCONT):  # too late to be handed on
        command.send_signal(number)
    assert command.communicate(timeout=30)[1] == (
        "contextpress: the process that this job was forked from was killed; run again\n"
    )
    assert command.returncode == 2
    assert gone(fork)
    command, work = keeper.waiting()
    assert work.pid == command.pid
    keeper.release()
    assert command.wait(60) == 0


def test_jobs_outlive_a_killed_snakemake_and_the_forker_its_last_job(keeper):
    first, _ = keeper.waiting()
    keeper.process.kill()
    keeper.process.wait()
    second, work = keeper.waiting()
    assert work.pid == second.pid  # it comes too late to be forked
    second.kill()
    assert keeper.forker.is_running()
    keeper.release()
    assert first.wait(60) == 0
    assert gone(keeper.forker)


def test_another_environment_is_another_start(keeper):
    for variables in ({"OMP_NUM_THREADS": "2"}, {}, {"OMP_NUM_THREADS": "2"}, {"LANGUAGE": "tlh"}, {"SHLVL": "7"}):
        command, work = keeper.waiting(**variables)
        assert (work.pid == command.pid) == bool(variables and "SHLVL" not in variables)
        keeper.release()
        assert command.wait(60) == 0


def test_what_a_fork_takes_counts_for_its_job(keeper, monkeypatch, tmp_path):
    monkeypatch.setattr(measured.benchmark, "BenchmarkTimer", benchmark.BenchmarkTimer)  # so that it is put back
    command, fork = keeper.waiting()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/this").symlink_to(keeper.jobs)
    record = benchmark.BenchmarkRecord()
    measure_forks(tmp_path)
    timer = benchmark.BenchmarkTimer(command.pid, record)
    assert [child.pid for child in timer.main.children(recursive=True)] == [fork.pid]
    timer.work()
    assert record.max_rss * 2**20 > fork.memory_info().rss
    keeper.release()
    assert command.wait(60) == 0


def test_a_note_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / "here.12").write_text(json.dumps({"arguments": ["lm", "train"], "slurm": ""}))
    job = Job.of(tmp_path / "here.12")
    assert (job.process, job.waiting, job.arguments) == (12, 12, ["lm", "train"])
