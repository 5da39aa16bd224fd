"""Which Snakemake and which jobs work in a folder, and what a Snakemake that was killed has left there.

A killed Snakemake leaves its lock, which keeps the next one out, and its jobs, which go on without it and write what
an older config asked for. Both are told by file locks, which end with the process that holds them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contextpress.runtime.errors import UserError, refusal
from contextpress.runtime.files import remove
from contextpress.runtime.troubles import unwritable

JOBS_VARIABLE = "CONTEXTPRESS_JOBS"  # where the jobs of a run sign in


class Run:
    """One Snakemake at work in a folder, until its process ends."""

    def __init__(self, folder: Path) -> None:
        """Sign in. Where no other Snakemake is at work, locks in ``folder`` (.snakemake) are a dead one's: remove them.

        Raises:
            UserError: if the folder, or what Snakemake keeps there, cannot be written.
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
        with suppress(BlockingIOError):
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(folder / "locks")
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
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


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
