"""What Snakemake measures of a job that is a fork (``forks.py``) and so no child of the command that it started."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
from snakemake import benchmark

from contextpress.runtime.runs import jobs_at_work


def measure_forks(folder: Path) -> None:
    """Let benchmark files count the forks of this run, whose notes are under ``folder`` (.snakemake), too."""

    class Command(psutil.Process):
        """What Snakemake started for a job."""

        def children(self, recursive: bool = False) -> list[psutil.Process]:
            found = super().children(recursive)
            waiting = {self.pid, *(child.pid for child in found)}
            for job in jobs_at_work(folder):
                if job.waiting in waiting - {job.process}:
                    with suppress(psutil.NoSuchProcess):  # it has just ended
                        found.append(psutil.Process(job.process))
            return found

    class Timer(benchmark.BenchmarkTimer):
        def __init__(self, pid: int, *arguments: object) -> None:
            super().__init__(pid, *arguments)
            self.main = Command(pid)

    benchmark.BenchmarkTimer = Timer
