"""Worker processes for reading files."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from contextpress.runtime.errors import UserError

VARIABLE = "CONTEXTPRESS_THREADS"

Task = TypeVar("Task")
Result = TypeVar("Result")


def worker_count() -> int:
    """Processes to use: the variable CONTEXTPRESS_THREADS, or the cores that this process may run on.

    Not a value of a spec: the result must not depend on it.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        if not given.isdecimal() or int(given) == 0:
            raise UserError(f"{VARIABLE} is {given!r}: a whole number of processes, 1 or more, is wanted")
        return int(given)
    if hasattr(os, "sched_getaffinity"):  # Linux; a batch system grants fewer cores than the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Workers:
    """A pool of processes; with one worker, this process itself."""

    def __enter__(self) -> Self:
        count = worker_count()
        # spawn: a forked copy of a process that runs threads (pyarrow, BLAS) can hang.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) if count > 1 else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results in the order of ``tasks``; with a pool, work begins at once."""
        return map(function, tasks) if self._pool is None else self._pool.map(function, tasks, chunksize=8)
