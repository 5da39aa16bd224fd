"""What a killed Snakemake leaves is cleared away by the next; what a live one holds is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.runs import JOBS_VARIABLE, Run, handle_aside, signed_in

# A Snakemake that starts one job and is killed, or lives on.
SNAKEMAKE = """
import subprocess, sys, time
from pathlib import Path
from contextpress.runtime.runs import Run
run = Run(Path(sys.argv[1]))
Path(sys.argv[1], "locks").mkdir(exist_ok=True)
run.start()
if len(sys.argv) > 3:
    run.freeze(sys.argv[3])
job = subprocess.Popen([sys.executable, "-c", sys.argv[2]])
print(job.pid, flush=True)
time.sleep(600)
"""
JOB = """
import time
from contextpress.runtime.runs import signed_in
with signed_in():
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _started_by_none(monkeypatch):
    monkeypatch.setenv(JOBS_VARIABLE, "")  # so that it is put back whatever a test sets
    monkeypatch.delenv(JOBS_VARIABLE)


def _start(folder: Path, *config: str, **variables: str) -> tuple[subprocess.Popen, int]:
    """A Snakemake with a job at work: its process, and the number of the job's."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)} | variables
    command = [sys.executable, "-c", SNAKEMAKE, folder, JOB, *config]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    job = int(process.stdout.readline())
    assert process.stdout.readline() == "at work\n"
    return process, job


def _stop(process: subprocess.Popen, job: int) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    if _runs(job):
        os.kill(job, signal.SIGKILL)


@pytest.fixture
def snakemake(tmp_path):
    process, job = _start(tmp_path)
    yield process, job
    _stop(process, job)


def _runs(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _ends(process: int) -> bool:
    """A process gives up its locks a little before it is gone."""
    until = time.monotonic() + 5
    while _runs(process) and time.monotonic() < until:
        time.sleep(0.01)
    return not _runs(process)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the table of processes")
def test_a_killed_snakemake_leaves_neither_lock_nor_job(snakemake, tmp_path, capsys):
    process, job = snakemake
    process.kill()
    process.wait()
    assert _runs(job)
    run = Run(tmp_path)
    assert not (tmp_path / "locks").exists()
    assert _runs(job)  # a dry run ends no job
    old = next((tmp_path / "runs").iterdir())
    run.start()
    assert _ends(job)
    assert capsys.readouterr().err == f"contextpress: ending job {job} of a run that was killed\n"
    assert [path.name.rpartition(".")[2] for path in (tmp_path / "runs").iterdir()] == [str(os.getpid())]
    # One that was about to start when its Snakemake was killed comes too late.
    os.environ[JOBS_VARIABLE] = str(old)
    with pytest.raises(UserError, match="another one has taken over"), signed_in():
        raise AssertionError


def test_a_live_snakemake_keeps_its_lock_and_its_jobs(snakemake, tmp_path, capsys):
    process, job = snakemake
    Run(tmp_path).start()
    assert (tmp_path / "locks").is_dir()
    assert process.poll() is None
    assert _runs(job)
    assert capsys.readouterr().err == ""


def test_a_job_signs_in_and_out(tmp_path, monkeypatch):
    with signed_in():  # no Snakemake
        pass
    monkeypatch.setenv(JOBS_VARIABLE, str(tmp_path))
    with pytest.raises(KeyError), signed_in():
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match=r"x cannot be written: Not a directory"):
        Run(tmp_path / "x")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the table of processes")
@pytest.mark.parametrize(("config", "cancelled"), [(["{}"], True), ([], False)], ids=["on a cluster", "as a child"])
def test_a_job_of_slurm_is_ended_by_slurm(tmp_path, monkeypatch, capsys, config, cancelled):
    # As a child of a Snakemake that works inside a Slurm job, a job shares that one's number, and must not end it.
    process, job = _start(tmp_path / "folder", *config, SLURM_JOB_ID="77")
    scancel = tmp_path / "scancel"
    scancel.write_text(f"#!/bin/sh\necho $* > {tmp_path}/asked\nkill {job}\n")
    scancel.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    process.kill()
    process.wait()
    Run(tmp_path / "folder").start()
    assert _ends(job)
    assert (tmp_path / "asked").exists() == cancelled
    if cancelled:
        assert (tmp_path / "asked").read_text() == "77\n"
    told = "Slurm job 77" if cancelled else f"job {job}"
    assert capsys.readouterr().err == f"contextpress: ending {told} of a run that was killed\n"
    _stop(process, job)


def test_a_frozen_config_goes_with_its_run(tmp_path):
    process, job = _start(tmp_path, '{"study": "a"}')
    frozen = next((tmp_path / "runs").glob("*/config.json"))
    assert frozen.read_text() == '{"study": "a"}'
    process.kill()
    process.wait()
    run = Run(tmp_path)
    assert frozen.exists()  # a dry run
    run.start()
    assert not frozen.exists()
    assert run.freeze("{}").is_absolute()
    _stop(process, job)


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"locks no files \(Function not implemented\)"):
        Run(tmp_path)


@pytest.mark.parametrize("name", ["metadata", "incomplete"])
def test_a_folder_of_snakemakes_own_that_is_none_is_told(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"{name}, where Snakemake notes which jobs are done, is no folder"):
        Run(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / "locks").touch()  # of a dead Snakemake, and damaged at that
    Run(tmp_path)
    assert not (tmp_path / "locks").exists()


def test_a_signal_in_the_middle_of_what_its_handler_waits_for_is_handled_after_it():
    lock, told, done = threading.Lock(), [], threading.Event()

    def handler(number, _):
        told.append((number, lock.acquire(timeout=10)))
        done.set()

    before = signal.signal(signal.SIGTERM, handler)
    try:
        handle_aside(signal.SIGTERM)
        with lock:
            signal.raise_signal(signal.SIGTERM)
            assert told == []
        assert done.wait(10)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [(signal.SIGTERM, True)]
