"""Which Snakemake and which jobs work in a folder, and what a Snakemake that was killed has left there.

A killed Snakemake leaves its lock, which keeps the next one out, and its jobs, which go on without it and write what
an older config asked for. Both are told by file locks, which end with the process that holds them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import runs

JOBS_VARIABLE = "CONTEXTPRESS_JOBS"  # where the jobs of a run sign in


class Run:
    """One Snakemake at work in a folder, until its process ends."""

    def __init__(self, folder: Path) -> None:
        """Sign in. Where no other Snakemake is at work, locks in ``folder`` (.snakemake) are a dead one's: remove them.

        Raises:
            UserError: if the folder cannot be written.
        """
        self._runs = folder / "runs"
        try:
            self._runs.mkdir(parents=True, exist_ok=True)
            self._alive = (folder / "alive").open("w")
        except OSError as error:
            raise UserError(f"{folder.absolute()} cannot be written: {error.strerror}") from None
        self._left: list[Path] = []
        with suppress(BlockingIOError):
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder / "locks", ignore_errors=True)
            self._left = list(self._runs.iterdir())
        fcntl.flock(self._alive, fcntl.LOCK_SH)

    def start(self) -> None:
        """End the jobs that were left, and let those to come sign in. Trainings save where they stand."""
        for jobs in self._left:
            ended = jobs.rename(jobs.with_name(f"ended.{jobs.name}"))  # now no late job can sign in there
            for job in ended.iterdir():
                _end(job)
            shutil.rmtree(ended)
        own = self._runs / f"{socket.gethostname()}.{os.getpid()}"
        own.mkdir(exist_ok=True)
        os.environ[JOBS_VARIABLE] = str(own.absolute())


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
        handle.write(json.dumps({"arguments": sys.argv[1:]}))
        handle.flush()
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """One step at work.

    Attributes:
        host: where it works.
        process: its number there.
        started: when it signed in, in seconds since 1970.
        arguments: of its command line.
    """

    host: str
    process: int
    started: float
    arguments: list[str]

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
        host, _, process = note.name.rpartition(".")
        if not process.isdigit():  # something else of the run
            continue
        with suppress(FileNotFoundError):  # it has ended in the meantime
            told, started = note.read_text(encoding="utf-8"), note.stat().st_mtime
            if host != socket.gethostname() or runs(int(process)):
                arguments = json.loads(told)["arguments"] if told else []  # it is just signing in
                found.append(Job(host, int(process), started, arguments))
    return sorted(found, key=lambda job: (job.started, job.process))


def _end(note: Path) -> None:
    host, _, process = note.name.rpartition(".")
    with note.open() as handle:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return  # it has ended
        if host != socket.gethostname():
            _say(f"job {process} of an earlier run is still at work on {host}; its outputs may be written twice")
            return
        _say(f"ending job {process} of a run that was killed")
        os.kill(int(process), signal.SIGTERM)
        fcntl.flock(handle, fcntl.LOCK_EX)


def _say(line: str) -> None:
    sys.stderr.write(f"contextpress: {line}\n")
