"""Timing two ways of doing the same work.

Each way is set up in a process of its own, which stays alive and waits while the other one works. The two take turns,
and change who goes first, so that a machine that slows down slows both; a repeat gives one ratio of neighbours in
time. Fresh processes for every repeat would spend most of the time on imports; one process for both would mix their
peak memory and their settings of torch.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from pydantic import Field

from benchmarks.shapes import Shape
from contextpress.runtime.device import device_name
from contextpress.runtime.spec import Spec

log = logging.getLogger(__name__)
OURS = "ours"
SHORTEST = 0.5  # seconds that a timing lasts at least: the work is done again until they are over


@dataclass(frozen=True)
class Side:
    """One way of doing the work of a benchmark, set up.

    Attributes:
        run: does the work once and says how much that was, in the benchmark's unit.
        answer: what must agree with the other side's, any shape; None where there is nothing to compare.
        dtype: of the matrix products.
        note: what should stand beside the numbers.
    """

    run: Callable[[], float]
    answer: np.ndarray | None = None
    dtype: str = "float32"
    note: str = ""


Build = Callable[[Shape, torch.device], Side]


@dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes:
        name: what is timed.
        unit: of all rates.
        ours: sets up our side; a function at the top of a module, or a partial of one.
        baselines: what ours is compared with, by the words that describe it.
        shapes: names of the shapes at which it makes sense.
        tolerance: largest difference between our answer and another; None if they cannot be compared.
        wanted: the ratio aimed at, by shape and baseline.
    """

    name: str
    unit: str
    ours: Build
    baselines: dict[str, Build]
    shapes: tuple[str, ...] = ("tiny", "study", "slice", "0.6B")
    tolerance: float | None = None
    wanted: dict[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth:
    """A benchmark of how time grows with work.

    Attributes:
        name: what is timed.
        unit: of its work.
        build: sets up work of a given multiple (1, 2, 4); its rate is work per second.
    """

    name: str
    unit: str
    build: Callable[[int, Shape, torch.device], Side]
    shapes: tuple[str, ...] = ("tiny", "study")


class Row(Spec):
    """One line of results.json."""

    name: str = Field(description="what was timed")
    shape: str = Field(description="model and size of the work; see shapes.py")
    against: str = Field(description="the baseline")
    unit: str = Field(description="of ours and baseline")
    ours: float = Field(description="median over the repeats")
    baseline: float = Field(description="median over the repeats")
    ratio: float = Field(description="ours / baseline: median over the repeats of the ratio of neighbouring runs")
    spread: tuple[float, float] = Field(description="smallest and largest of these ratios")
    wanted: str | None = Field(description="the ratio aimed at")
    equal: bool | None = Field(description="whether both gave the same answer; null where they cannot")
    difference: float | None = Field(description="largest difference of the answers")
    repeats: int
    device: str
    threads: int
    dtype: str
    peak_memory_mib: tuple[float, float] = Field(
        description="of the process (on a GPU: of its tensors) while it worked: ours, baseline"
    )
    machine: str
    note: str = ""


class Sides(Protocol):
    """One or more sides that are set up somewhere."""

    facts: dict[str, Side]

    def rate(self, name: str) -> float:
        """Work per second of one timing."""

    def close(self) -> float:
        """End, and give the peak memory in MiB."""


class Here:
    """Sides in this process."""

    def __init__(self, builders: dict[str, Build], shape: Shape) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(threads_of(shape))
        self.facts = {}
        for name, build in builders.items():
            torch.manual_seed(0)
            self.facts[name] = build(shape, self.device)
        forget_peak(self.device)

    def rate(self, name: str) -> float:
        """Work per second of one timing."""
        self._synchronise()
        done, started = 0.0, time.perf_counter()
        while (passed := time.perf_counter() - started) < SHORTEST or not done:
            done += self.facts[name].run()
            self._synchronise()
        return done / passed

    def close(self) -> float:
        """Peak memory in MiB since the sides were set up."""
        return peak(self.device)

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Child:
    """Sides in a process of their own."""

    def __init__(self, builders: dict[str, Build], shape: Shape, messages: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        threads = str(threads_of(shape))
        os.environ |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
        self.process = context.Process(target=_serve, args=(theirs, builders, shape, messages), daemon=True)
        self.process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until the sides are set up."""
        self.facts: dict[str, Side] = self._received()

    def rate(self, name: str) -> float:
        """Work per second of one timing."""
        self.connection.send(name)
        found: float = self._received()
        return found

    def close(self) -> float:
        """End the process, and give its peak memory in MiB since the sides were set up."""
        self.connection.send(None)
        found: float = self._received()
        self.process.join()
        return found

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()

    def _received(self):
        try:
            found = self.connection.recv()
        except EOFError:
            raise RuntimeError("the process of a benchmark died, perhaps for want of memory") from None
        if isinstance(found, str):
            raise RuntimeError(found)
        return found


def _serve(connection: Connection, builders: dict[str, Build], shape: Shape, messages: Path) -> None:
    """Set up and time on demand; what libraries print goes to a file."""
    with messages.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        sides = Here(builders, shape)
        plain = {name: Side(_nothing, side.answer, side.dtype, side.note) for name, side in sides.facts.items()}
        connection.send(plain)
        while (name := connection.recv()) is not None:
            connection.send(sides.rate(name))
        connection.send(sides.close())
    except EOFError:  # the parent is gone
        return
    except Exception:  # told to the parent
        connection.send(traceback.format_exc())


def _nothing() -> float:
    return 0.0


def measure(case: Case, shape: Shape, repeats: int, messages: Path | None) -> list[Row]:
    """Time all sides in turn; a row for each baseline.

    Args:
        case: what is timed.
        shape: of the models and the work.
        repeats: timings of each side.
        messages: file for what libraries print; None: all in this process, for tests.
    """
    builders = {OURS: case.ours, **case.baselines}
    children: dict[str, Child] = {}
    if messages is None:
        sides: dict[str, Sides] = dict.fromkeys(builders, Here(builders, shape))
    else:
        sides = children = {name: Child({name: build}, shape, messages) for name, build in builders.items()}
    try:
        for child in children.values():
            child.ready()
        rates = in_turn(sides, repeats)
        memory = {name: side.close() for name, side in sides.items()}
    finally:
        for child in children.values():
            child.kill()
    return [_row(case, shape, against, sides, rates, memory) for against in case.baselines]


def _row(
    case: Case,
    shape: Shape,
    against: str,
    sides: dict[str, Sides],
    rates: dict[str, list[float]],
    memory: dict[str, float],
) -> Row:
    ours, other = sides[OURS].facts[OURS], sides[against].facts[against]
    difference = None
    if case.tolerance is not None:
        # A baseline that is slow answers for the first few only.
        difference = float(np.abs(ours.answer[: len(other.answer)].astype(float) - other.answer).max())
    ratios = [one / another for one, another in zip(rates[OURS], rates[against], strict=True)]
    wanted = case.wanted.get((shape.name, against))
    return Row(
        name=case.name,
        shape=shape.name,
        against=against,
        unit=case.unit,
        ours=statistics.median(rates[OURS]),
        baseline=statistics.median(rates[against]),
        ratio=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
        wanted=None if wanted is None else f">= {wanted:g}",
        equal=None if difference is None else difference <= case.tolerance,
        difference=difference,
        dtype=ours.dtype,
        peak_memory_mib=(memory[OURS], memory[against]),
        note="; ".join(filter(None, [ours.note, other.note])),
        **_circumstances(shape, len(ratios)),
    )


def measure_growth(case: Growth, shape: Shape, repeats: int, messages: Path | None) -> Row:
    """Time work of one, two and four times a size in turn, and fit time = a x size ** exponent."""
    builders: dict[str, Build] = {str(factor): _Multiple(case, factor) for factor in FACTORS}
    child = None
    if messages is None:
        one: Sides = Here(builders, shape)
    else:
        one = child = Child(builders, shape, messages)
    try:
        if child is not None:
            child.ready()
        rates = in_turn(dict.fromkeys(builders, one), repeats)
        memory = one.close()
    finally:
        if child is not None:
            child.kill()
    exponents = [exponent([rates[name][repeat] for name in builders]) for repeat in range(repeats)]
    found = statistics.median(exponents)
    return Row(
        name=case.name,
        shape=shape.name,
        against="work that grows as its input: exponent 1",
        unit=f"exponent of time over {case.unit}",
        ours=found,
        baseline=1.0,
        ratio=found,
        spread=(min(exponents), max(exponents)),
        wanted="<= 1.1",
        equal=None,
        difference=None,
        dtype=one.facts["1"].dtype,
        peak_memory_mib=(memory, memory),
        note=one.facts["1"].note,
        **_circumstances(shape, repeats),
    )


FACTORS = (1, 2, 4)


@dataclass(frozen=True)
class _Multiple:
    """A builder of a multiple of a growth benchmark's work; a class, since a closure cannot be sent to a process."""

    case: Growth
    factor: int

    def __call__(self, shape: Shape, device: torch.device) -> Side:
        return self.case.build(self.factor, shape, device)


def exponent(rates: Sequence[float]) -> float:
    """Slope by least squares of log time over log work, from rates (work per second) of FACTORS times the work."""
    size = np.log(FACTORS)
    return float(np.polyfit(size, size - np.log(rates), 1)[0])


def in_turn(sides: dict[str, Sides], repeats: int) -> dict[str, list[float]]:
    """Rates of each side, after one timing that only warms up; every second repeat in reverse order."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-1, repeats):
        for name in list(sides) if repeat % 2 else list(reversed(sides)):
            found = sides[name].rate(name)
            if repeat >= 0:
                rates[name].append(found)
    return rates


def threads_of(shape: Shape) -> int:
    """CPU threads of a benchmark at this shape."""
    return shape.threads or len(os.sched_getaffinity(0))


def forget_peak(device: torch.device) -> None:
    """Begin to measure peak memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> float:
    """Peak memory in MiB: of tensors on a GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text().splitlines()
        return float(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def machine() -> str:
    """Processor, cores, memory and version of torch."""
    model = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, torch {torch.__version__}"


def _circumstances(shape: Shape, repeats: int) -> dict:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "repeats": repeats,
        "device": device_name(device),
        "threads": threads_of(shape),
        "machine": machine(),
    }
