"""What to tell a user of a job that failed: one line with a remedy, from its error or from how it ended."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

from contextpress.runtime.errors import UserError, out_of_memory, refusal

# The config key that bounds the memory of a step.
LOWER = {
    ("corpus", "harvest"): "corpus.characters",
    ("corpus", "domain"): "corpus.characters",
    ("tokens", "tokenizer"): "corpus.characters",
    ("tokens", "encode"): "corpus.characters",
    ("tokens", "mixture"): "corpus.mixture_tokens",
    ("lm", "warmup"): "lm.warmup.schedule.batch",
    ("lm", "train"): "lm.pretraining.schedule.batch",
    ("compressor", "train"): "compressor.schedule.batch",
    ("reconstruction", "reconstruct"): "reconstruction.batch",
    ("reconstruction", "cram"): "reconstruction.cramming.batch",
    ("analysis", "calibration-chunk"): "analysis.calibration.chunk",
}
OTHERWISE = "tokens.passages.test"
FULL = 1 << 16  # bytes left on a disk
# In Snakemake's log; a shell adds 128 to the number of the signal.
KILLED = re.compile(r"contextpress ([a-z]+) ([a-z-]+) .*(?:exit status 137|SIGKILL)")


def told(error: Exception, room: str = "", step: str = "") -> str | None:
    """What to tell instead of a traceback; None of an error that is a defect of this program.

    Without a ``step``, ``room`` is the name of a command beside the pipeline.
    """
    if isinstance(error, UserError):
        return str(error)
    step_of = f"{room} {step}".strip()
    if out_of_memory(error):
        said = (str(error).splitlines() or [type(error).__name__])[0]
        return f"{step_of}: out of memory ({said}); {_spare(room, step)}"
    if isinstance(error, BrokenExecutor):
        return f"{step_of}: a worker process was killed, most often for want of memory; {_spare(room, step)}"
    why = refusal(error)
    return f"{getattr(error, 'filename', None) or step_of}: {why}" if why else None


def told_of_run(log: str, results: Path) -> Iterator[str]:
    """What jobs could not tell: that they were killed, or that their logs could not be written.

    Args:
        log: of Snakemake.
        results: their folder, whose disk may be full; need not exist.
    """
    for room, step in sorted(set(KILLED.findall(log))):
        yield f"{room} {step} was killed; if not by you, then most often for want of memory: {_spare(room, step)}"
    if why := unwritable(results):
        yield why


def unwritable(folder: Path) -> str | None:
    """Why no file can be written to a folder, and what to do; None if one can, or if there is no folder yet."""
    if folder.exists() and not os.access(folder, os.W_OK):
        return f"{folder} cannot be written; make it writable and run the same command again"
    if folder.exists() and _is_full(folder):
        return f"{folder} cannot be written: the disk is full; free some space and run the same command again"
    return None


def _is_full(folder: Path) -> bool:
    """Whether there is no room on a folder's disk for another log: of bytes, or of files."""
    disk = os.statvfs(folder)
    blocks = disk.f_bavail if os.geteuid() else disk.f_bfree  # the last ones are the superuser's
    return blocks * disk.f_frsize < FULL or (disk.f_files > 0 and disk.f_favail == 0)  # some file systems count none


def _spare(room: str, step: str) -> str:
    if not step:
        return "give it less text at a time, and run again"
    key = LOWER.get((room, step), OTHERWISE)
    return f"run fewer jobs at a time (snakemake --cores N) or lower config key {key}, and run again"
