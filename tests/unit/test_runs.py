"""What a killed Snakemake leaves is cleared away by the next; what a live one holds is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.runs import JOBS_VARIABLE, Run, signed_in

# A Snakemake that starts one job and is killed, or lives on.
SNAKEMAKE = """
import subprocess, sys, time
from pathlib import Path
from contextpress.runtime.runs import Run
run = Run(Path(sys.argv[1]))
Path(sys.argv[1], "locks").mkdir(exist_ok=True)
run.start()
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


@pytest.fixture
def snakemake(tmp_path):
    """A Snakemake with a job at work: its process, and the process of the job."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", SNAKEMAKE, tmp_path, JOB], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    job = int(process.stdout.readline())
    assert process.stdout.readline() == "at work\n"
    yield process, job
    process.kill()
    process.wait()
    process.stdout.close()
    if _runs(job):
        os.kill(job, signal.SIGKILL)


def _runs(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


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
    assert not _runs(job)
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


@pytest.mark.parametrize("name", ["metadata", "incomplete"])
def test_a_folder_of_snakemakes_own_that_is_none_is_told(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"{name}, where Snakemake notes which jobs are done, is no folder"):
        Run(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / "locks").touch()  # of a dead Snakemake, and damaged at that
    Run(tmp_path)
    assert not (tmp_path / "locks").exists()
