"""How much of a study's core-time went into its hot paths: training, scoring, reconstruction, cramming.

Snakemake's benchmark files tell how long each job took and, by their time stamps, when it ended; the run records tell
how long its work took once everything was imported. Jobs have one thread.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from contextpress.report import markdown
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json

# Room of the benchmark files: where the record of a job lies, and whether its work is a hot path.
RECORDS = {
    "lm": "lm/{name}/record.json",
    "compressors": "compressors/{name}/record.json",
    "entropy": None,  # writes none
    "reconstructions": "reconstructions/{name}.json",
    "crammed": "crammed/{name}.json",
}


@dataclass(frozen=True)
class Job:
    """A job of a finished study.

    Attributes:
        room: its folder of benchmark files; empty for those at the top.
        start, end: seconds since 1970.
        work: seconds of what its record counts; None without a record.
    """

    room: str
    start: float
    end: float
    work: float | None


def share(study: Path, cores: int) -> str:
    """A table of seconds by room, and the share of the hot paths in all core-time, in Markdown.

    Core-time is cores x time in which at least one job ran, so that a study may have been made in several goes.

    Raises:
        UserError: if the study has no benchmark files of hot paths.
    """
    jobs = read_jobs(study)
    hot = [job for job in jobs if job.room in RECORDS]
    if not hot:
        raise UserError(f"{study}: no benchmark files of a finished study, such as benchmarks/compressors/*.jsonl")
    total = cores * busy(jobs)
    start_up = statistics.median([job.end - job.start - job.work for job in hot if job.work is not None] or [0.0])
    rows, inside = [], 0.0
    for room in dict.fromkeys(sorted(job.room for job in jobs)):
        members = [job for job in jobs if job.room == room]
        seconds = sum(job.end - job.start for job in members)
        work = sum(_work(job, start_up) for job in members) if room in RECORDS else 0.0
        inside += work
        rows.append([room or "other", str(len(members)), f"{seconds:,.0f}", f"{work:,.0f}", f"{work / total:.1%}"])
    head = ["room", "jobs", "job seconds", "hot seconds", "share of core-time"]
    taken = sum(job.end - job.start for job in jobs)
    lines = [
        markdown.table(head, rows, numbers=head[1:]),
        f"Core-time: {cores} cores x {total / cores:,.0f} s = {total:,.0f} s, of which jobs took {taken / total:.1%}.",
        f"Start-up of a hot job: {start_up:.1f} s (median); taken off where there is no record.",
        f"Inside the hot paths: {inside / total:.1%}.",
    ]
    return "\n\n".join(lines) + "\n"


def read_jobs(study: Path) -> list[Job]:
    """All jobs that left a benchmark file."""
    folder, jobs = study / "benchmarks", []
    for path in sorted(folder.rglob("*.jsonl")):
        end = path.stat().st_mtime
        seconds = float(json.loads(path.read_text().splitlines()[-1])["s"])
        room = path.relative_to(folder).parts[0] if path.parent != folder else ""
        pattern = RECORDS.get(room)
        record = study / pattern.format(name=path.stem) if pattern else None
        work = float(read_json(record)["seconds"]) if record is not None and record.exists() else None
        jobs.append(Job(room, end - seconds, end, work))
    return jobs


def busy(jobs: list[Job]) -> float:
    """Seconds in which at least one job ran."""
    total, until = 0.0, float("-inf")
    for job in sorted(jobs, key=lambda job: job.start):
        total += max(0.0, job.end - max(job.start, until))
        until = max(until, job.end)
    return total


def _work(job: Job, start_up: float) -> float:
    taken = job.end - job.start
    # The wall-clock of Snakemake and of a job differ by rounding.
    return min(taken, job.work) if job.work is not None else max(0.0, taken - start_up)
