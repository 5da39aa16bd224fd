"""The command `python -m benchmarks`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import torch

from benchmarks import memory
from benchmarks.cases import CASES
from benchmarks.harness import Case, Row, machine, measure, measure_growth
from benchmarks.report import draw, table
from benchmarks.shapes import SHAPES
from benchmarks.share import share
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, write_json, write_text

log = logging.getLogger("benchmarks")
FOLDER = Path(__file__).parent
MESSAGES = Path("build/benchmarks.log")


def main() -> int:
    """Run the benchmarks, or tell a study's share of time in the hot paths."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="See benchmarks/README.md.")
    parser.add_argument("--repeats", type=int, default=5, help="timings of each side (default: 5)")
    parser.add_argument("--shape", action="append", choices=SHAPES, help="only this shape; may be given again")
    parser.add_argument("--only", default="", metavar="TEXT", help="only benchmarks whose name holds this; keep others")
    commands = parser.add_subparsers(dest="command")
    told = commands.add_parser("share", help="share of a finished study's core-time inside the hot paths")
    told.add_argument("study", type=Path, help="its folder, such as results/default")
    told.add_argument("--cores", type=int, required=True, help="that the study ran on")
    passing = commands.add_parser("memory", help="peak memory of the steps that passages pass through")
    passing.add_argument("--passages", type=int, nargs="+", default=memory.SIZES, help="at how many passages")
    asked = parser.parse_args()
    log.addHandler(logging.StreamHandler())  # this log alone: libraries talk much
    log.setLevel(logging.INFO)
    if asked.command == "share":
        try:
            sys.stdout.write(share(asked.study, asked.cores))
        except UserError as error:
            sys.exit(f"benchmarks: {error}")
        return 0
    if asked.command == "memory":
        memory.run(FOLDER, asked.passages)
        return 0
    return run(asked.repeats, asked.shape or default_shapes(), asked.only)


def default_shapes() -> list[str]:
    """Those that this machine can compute in time."""
    return ["study", "slice"] + (["0.6B"] if torch.cuda.is_available() else [])


def run(repeats: int, shapes: list[str], only: str) -> int:
    """Time, and write results.json and what is made of it after every benchmark; the number of those that failed."""
    MESSAGES.parent.mkdir(exist_ok=True)
    MESSAGES.write_text("")
    chosen = [(case, name) for name in shapes for case in CASES if name in case.shapes and only in case.name]
    log.info("%s", machine())
    failed, started = 0, time.perf_counter()
    for number, (case, name) in enumerate(chosen, start=1):
        log.info("[%d/%d, %.0f s] %s, %s", number, len(chosen), time.perf_counter() - started, case.name, name)
        try:
            if isinstance(case, Case):
                rows = measure(case, SHAPES[name], repeats, MESSAGES)
            else:
                rows = [measure_growth(case, SHAPES[name], repeats, MESSAGES)]
        except Exception as error:  # one that fails must not cost the others
            log.error("    failed: %s", str(error).strip().splitlines()[-1] if str(error) else error)
            with MESSAGES.open("a") as file:
                file.write(f"{case.name}, {name}: {error}\n")
            failed += 1
            continue
        for row in rows:
            log.info("    %.2f x %s%s", row.ratio, row.against, "" if row.equal is not False else ": NOT EQUAL")
        keep(FOLDER, rows)
    log.info("%.0f s; messages of libraries: %s", time.perf_counter() - started, MESSAGES)
    return failed


def keep(folder: Path, rows: list[Row]) -> None:
    """Put rows in the place of those that they renew, and write all anew: JSON, table and figure."""
    path = folder / "results.json"
    known = [Row.read(row) for row in read_json(path)] if path.exists() else []
    merged = {(row.name, row.shape, row.against): row for row in [*known, *rows]}
    order = [case.name for case in CASES]
    ordered = sorted(merged.values(), key=lambda row: (list(SHAPES).index(row.shape), order.index(row.name)))
    write_json(path, [row.model_dump(mode="json") for row in ordered])
    write_text(folder / "results.md", table(ordered))
    draw(ordered, folder)


if __name__ == "__main__":
    sys.exit(main())
