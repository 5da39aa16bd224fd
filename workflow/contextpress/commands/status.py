"""``contextpress status``: what is at work, how far trainings are and when they end; from files alone."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contextpress.report.markdown import duration
from contextpress.runtime.errors import UserError
from contextpress.runtime.progress import Progress
from contextpress.runtime.runs import Job, jobs_at_work

RESULTS = Path("results")
TAIL = 4096  # bytes of a log that are read: its last lines
LATEST = 10  # trainings shown that are not at work


@dataclass(frozen=True)
class Training:
    """The last that a log says of a training.

    Attributes:
        study: whose it is.
        part: of the study, such as lm/D1-s0.
        told: how far it was.
        at: when that was, in seconds since 1970.
    """

    study: str
    part: str
    told: Progress
    at: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--study", metavar="NAME", help="one study, by name or folder; by default all in results/")


def run(chosen: argparse.Namespace) -> None:
    """Print the jobs at work, then the latest of the trainings that are not.

    Raises:
        UserError: if there is no such study, or no results here.
    """
    studies = _studies(chosen.study)
    folder = studies[0].parent if studies else RESULTS
    jobs = jobs_at_work(folder.resolve().parent / ".snakemake")
    jobs = list({(job.host, *job.arguments): job for job in jobs}.values())  # one for all processes of a training
    if chosen.study is not None:
        jobs = [job for job in jobs if _study_of(job) == studies[0].name]
    trainings = {(found.study, found.part): found for study in studies for found in _trainings(study)}
    running = {key: trainings.get(key) for key in map(_training_of, jobs)}
    over = sorted((trainings[key] for key in trainings.keys() - running.keys()), key=lambda t: (-t.at, t.study, t.part))
    now = time.time()
    lines = ["no job is at work"]
    if jobs:
        head = ["at work", "study", "since", "step", "loss", "left"]
        lines = in_columns([head, *(_job_row(job, running[_training_of(job)], now) for job in jobs)])
    if over:
        head = ["last trainings", "study", "ended", "step", "loss", ""]
        lines += ["", *in_columns([head, *(_training_row(training, now) for training in over[:LATEST])])]
    if len(over) > LATEST:
        lines.append(f"and {len(over) - LATEST} trainings before them")
    sys.stdout.write("\n".join(lines) + "\n")


def _studies(wanted: str | None) -> list[Path]:
    known = sorted(path.parent for path in RESULTS.glob("*/logs"))
    if wanted is None:
        if not RESULTS.is_dir():
            raise UserError(
                f"there is no folder {RESULTS} in {Path.cwd()}; go to the project's, or name a study's folder"
            )
        return known
    for folder in (RESULTS / wanted, Path(wanted)):
        if (folder / "logs").is_dir():
            return [folder.resolve()]
    names = ", ".join(path.name for path in known) or "none"
    raise UserError(f"there is no study {wanted}; studies in {RESULTS.absolute()}: {names}")


def _trainings(study: Path) -> list[Training]:
    found = []
    for log in sorted(study.glob("logs/**/*.log")):
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            told = Progress.last(handle.read().decode("utf-8", errors="replace"))
        if told is not None:
            part = log.relative_to(study / "logs").with_suffix("").as_posix()
            found.append(Training(study.name, part, told, log.stat().st_mtime))
    return found


def _training_of(job: Job) -> tuple[str, str]:
    """Study and part of what a job trains; its log has the name of the folder for its checkpoints."""
    _, _, part = job.option("--checkpoints").partition("/checkpoints/")
    return _study_of(job), part


def _study_of(job: Job) -> str:
    """The study whose folder a job's options name."""
    inside = f"{RESULTS}/"
    return next((told.split("/")[1] for told in job.arguments if told.startswith(inside) and told.count("/") > 1), "")


def _job_row(job: Job, training: Training | None, now: float) -> list[str]:
    what = Path(job.option("--output")).stem
    where = "" if job.host == socket.gethostname() else f" on {job.host}"
    row = [" ".join([*job.arguments[:2], what]).strip() + where, _study_of(job), duration(now - job.started)]
    if training is None or training.at < job.started:  # it has said nothing yet
        return [*row, "", "", ""]
    told = training.told
    left = max(0.0, told.left - (now - training.at))
    return [*row, f"{told.done}/{told.steps}", f"{told.loss:.3f}", duration(left)]


def _training_row(training: Training, now: float) -> list[str]:
    told = training.told
    state = "" if told.done == told.steps else "stopped"
    row = [training.part, training.study, f"{duration(now - training.at)} ago", f"{told.done}/{told.steps}"]
    return [*row, f"{told.loss:.3f}", state]


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
