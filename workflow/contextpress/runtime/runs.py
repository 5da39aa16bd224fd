"""Which Snakemake and which jobs work in a folder, and what a Snakemake that was killed has left there.

A killed Snakemake leaves its lock, which keeps the next one out, and its jobs, which go on without it and write what
an older config asked for. Both are told by file locks, which end with the process that holds them. On a cluster the
folder, and its locks, are shared by all machines; jobs of a dead Snakemake may be at work on any of them, or wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Self

from contextpress.runtime.errors import UserError, refusal
from contextpress.runtime.files import remove, runs
from contextpress.runtime.forks import WAITING_VARIABLE
from contextpress.runtime.troubles import unwritable

JOBS_VARIABLE = "CONTEXTPRESS_JOBS"  # where the jobs of a run sign in
SLURM_VARIABLE = "SLURM_JOB_ID"  # set by Slurm, in its jobs
CONFIG = "config.json"  # what a run began with, beside the notes of its jobs


class Run:
    """One Snakemake at work in a folder, until its process ends."""

    def __init__(self, folder: Path) -> None:
        """Sign in. Where no other Snakemake is at work, locks in ``folder`` (.snakemake) are a dead one's: remove them.

        Raises:
            UserError: if the folder, or what Snakemake keeps there, cannot be written, or knows no locks.
        """
        self._runs = folder / "runs"
        try:
            self._runs.mkdir(parents=True, exist_ok=True)
            self._alive = (folder / "alive").open("w")
        except OSError as error:
            raise UserError(f"{folder.absolute()} cannot be written: {refusal(error)}") from None
        if why := unwritable(folder.absolute()):
            raise UserError(why)
        for kept in (folder / "metadata", folder / "incomplete"):
            if kept.exists() and not (kept.is_dir() and os.access(kept, os.W_OK)):
                raise UserError(
                    f"{kept.absolute()}, where Snakemake notes which jobs are done, is no folder that can be written; "
                    "make it one, or delete it and run again: then every job is"
                )
        self._left: list[Path] = []
        try:
            with suppress(BlockingIOError):
                fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder / "locks")
                self._left = list(self._runs.iterdir())
            fcntl.flock(self._alive, fcntl.LOCK_SH)
        except OSError as error:
            place = f"{folder.absolute()} is on a file system that locks no files"
            raise UserError(f"{place} ({error.strerror}); some have to be mounted with the option flock") from None

    def start(self) -> None:
        """End the jobs that were left, and let those to come sign in. Trainings save where they stand."""
        for jobs in self._left:
            ended = jobs.rename(jobs.with_name(f"ended.{jobs.name}"))  # now no late job can sign in there
            elsewhere = (ended / CONFIG).exists()
            for note in set(ended.iterdir()) - {ended / CONFIG}:
                _end(note, elsewhere)
            shutil.rmtree(ended)
        self._own = self._runs.absolute() / f"{socket.gethostname()}.{os.getpid()}"
        self._own.mkdir(exist_ok=True)
        os.environ[JOBS_VARIABLE] = str(self._own)

    def freeze(self, config: str) -> Path:
        """Keep what this run began with for jobs on other machines, which read the Snakefile anew; after ``start``.

        Returns:
            A file that holds ``config``, until a later run takes over: a job that comes after that finds none.
        """
        path = self._own / CONFIG
        path.write_text(config, encoding="utf-8")
        return path


def handle_aside(number: signal.Signals) -> None:
    """Let what handles a signal work in a thread of its own, since the code it interrupts may hold a lock it waits for.

    With Snakemake 9.27's handler of SIGTERM that happens while a job is being finished, and Snakemake never ends.
    """
    handler = signal.getsignal(number)
    if callable(handler):
        signal.signal(number, lambda *told: Thread(target=handler, args=told).start())


@contextmanager
def signed_in() -> Iterator[None]:
    """Let a later Snakemake know of this process, if a Snakemake started it.

    Raises:
        UserError: if a later one has come already.
    """
    folder = os.environ.get(JOBS_VARIABLE)
    if folder is None:
        yield
        return
    note = Path(folder) / f"{socket.gethostname()}.{os.getpid()}"
    try:
        handle = note.open("w")
    except FileNotFoundError:
        raise UserError("the Snakemake that started this job is gone, and another one has taken over") from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(_note())
        handle.flush()
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def _note() -> str:
    """What this process says in its note; ``Job.of`` reads it."""
    waiting = int(os.environ.get(WAITING_VARIABLE, os.getpid()))
    return json.dumps({"arguments": sys.argv[1:], "slurm": os.environ.get(SLURM_VARIABLE, ""), "waiting": waiting})


@dataclass(frozen=True)
class Job:
    """One step at work.

    Attributes:
        host: where it works.
        process: its number there.
        started: when it signed in, in seconds since 1970.
        arguments: of its command line.
        slurm: the number of the Slurm job that it is in; empty if it is in none.
        waiting: the number of the process that Snakemake started for it: of its own, or of one that waits for it.
    """

    host: str
    process: int
    started: float
    arguments: list[str]
    slurm: str
    waiting: int

    @classmethod
    def of(cls, note: Path) -> Self:
        """The job that a note is of; of one that is just signing in, arguments and Slurm number are empty."""
        host, _, process = note.name.rpartition(".")
        told: dict[str, Any] = {"arguments": [], "slurm": "", "waiting": int(process)}
        with suppress(ValueError):
            told |= json.loads(note.read_text(encoding="utf-8"))
        return cls(host, int(process), note.stat().st_mtime, **told)

    def option(self, name: str) -> str:
        """The value of an option, the first if it has several; empty if it was not given."""
        places = [place for place, told in enumerate(self.arguments[:-1]) if told == name]
        return self.arguments[places[0] + 1] if places else ""


def jobs_at_work(folder: Path) -> list[Job]:
    """The jobs that have signed in under ``folder`` (.snakemake), oldest first.

    Those of this host that have died are left out; of another host it cannot be told. The file locks are not asked:
    whoever asks holds one for a moment, and a Snakemake that starts then would take that for a job.
    """
    found = []
    for note in folder.glob("runs/*/*"):
        with suppress(FileNotFoundError):  # it has ended in the meantime
            if note.suffix[1:].isdigit():  # else something else of the run, such as its config
                found.append(Job.of(note))
    alive = [job for job in found if job.host != socket.gethostname() or runs(job.process)]
    return sorted(alive, key=lambda job: (job.started, job.process))


def _end(note: Path, elsewhere: bool) -> None:
    """End the job of a note; ``elsewhere`` if it is one of a cluster's, and no child of the Snakemake that started it.

    Of such children, Slurm's number is that of what they all are in, perhaps somebody's terminal too.
    """
    with note.open() as handle:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return  # it has ended
        job, scancel = Job.of(note), shutil.which("scancel")
        if elsewhere and job.slurm and scancel and not subprocess.run([scancel, job.slurm], check=False).returncode:  # noqa: S603
            _say(f"ending Slurm job {job.slurm} of a run that was killed")
        elif job.host == socket.gethostname():
            _say(f"ending job {job.process} of a run that was killed")
            os.kill(job.process, signal.SIGTERM)
        else:
            still = f"job {job.process} of an earlier run is still at work on {job.host}"
            _say(f"{still}; its outputs may be written twice")
            return
        fcntl.flock(handle, fcntl.LOCK_EX)


def _say(line: str) -> None:
    sys.stderr.write(f"contextpress: {line}\n")
