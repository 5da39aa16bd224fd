"""Kill the smoke study at random moments, start it again with the plain command, compare it with an undisturbed one.

python -m tests.workflow.chaos --kills 200 --output results/chaos
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from contextpress.runtime.files import sha256, write_json
from tests.workflow.running import CORES, SMOKE, copy_project, environment, snakemake

RESULTS = Path("results/smoke")
# What says when, where and how fast.
PARTS_THAT_DIFFER = {"logs", "benchmarks", "checkpoints"}
FILES_THAT_DIFFER = ("**/record.json", "reconstructions/*.json", "crammed/*.json", "tables/latency.*", "summary.*")
LONGEST_WAIT = 8.0  # seconds to a kill: from the first step at work on, or one time in six from the start on
# Whom, by what. A job: one step. A run: Snakemake alone. All: Snakemake and its jobs, as by ^C or the loss of power.
KILLS = [
    *(("job", signal.SIGKILL), ("job", signal.SIGTERM), ("run", signal.SIGKILL), ("run", signal.SIGTERM)),
    *(("all", signal.SIGKILL), ("all", signal.SIGINT)),
]
COLUMNS = ["kill", "study", "whom", "signal", "since", "seconds", "step", "resumed", "finished"]


def digests(tree: Path) -> dict[str, str]:
    """What a finished study must repeat: the digest of every file but records, logs and timings."""
    root = tree / RESULTS
    different = {path for pattern in FILES_THAT_DIFFER for path in root.glob(pattern)}
    return {
        str(path.relative_to(root)): sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path not in different and path.relative_to(root).parts[0] not in PARTS_THAT_DIFFER
    }


def differing(tree: Path, reference: Path) -> list[str]:
    """Files that one of two finished studies has and the other has not, or with other bytes."""
    one, two = digests(tree), digests(reference)
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def killed_run(
    tree: Path, whom: str, number: signal.Signals, wait: float, since: str = "first job", targets: Sequence[str] = ()
) -> dict[str, object] | None:
    """Start the study and kill ``whom`` some seconds after its start, its first job, or the first sight of a file.

    Waits until Snakemake has ended.

    Returns:
        What was killed, what had gone on from a checkpoint, and how many jobs were finished; None if the study ended
        before.
    """
    started = time.time()
    command = [sys.executable, "-m", "snakemake", *targets, "--configfile", SMOKE, "--cores", str(CORES)]
    with (tree / "snakemake.log").open("w") as printed:
        run = subprocess.Popen(
            command,
            cwd=tree,
            # So short a study would write no checkpoint.
            env=environment() | {"CONTEXTPRESS_CHECKPOINT_SECONDS": "0.2"},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell's background job ignores ^C, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        told = _kill(run, whom, number, wait, tree / since)
        run.wait(600)
    printed_text = (tree / "snakemake.log").read_text()
    if told is None:
        assert run.returncode == 0, printed_text[-5000:]
        return None
    logs = [path for path in tree.glob("results/**/*.log") if path.stat().st_mtime >= started]
    resumed = sum("going on after step" in path.read_text(errors="replace") for path in logs)
    finished = printed_text.count("\nFinished jobid")
    killed = {"whom": whom, "signal": number.name, "since": since, "seconds": round(wait, 1), "step": told}
    return killed | {"resumed": resumed, "finished": finished}


def _kill(run: subprocess.Popen, whom: str, number: signal.Signals, wait: float, since: Path) -> str | None:
    """Kill once the time has come and there is somebody to kill; which steps ran then."""
    begun = time.monotonic() if since.name == "start" else None
    while run.poll() is None:
        jobs = list(_jobs(run.pid))
        if begun is None and (jobs if since.name == "first job" else since.exists()):
            begun = time.monotonic()
        if begun is not None and time.monotonic() >= begun + wait and (jobs or whom != "job"):
            steps = " + ".join(_step(job) for job in jobs[: 1 if whom == "job" else None])
            if whom == "job":
                jobs[0].send_signal(number)
            elif whom == "run":
                run.send_signal(number)
            else:
                os.killpg(run.pid, number)
            return steps
        time.sleep(0.02)
    return None


def _step(job: psutil.Process) -> str:
    try:
        return " ".join(job.cmdline()[2:4])
    except psutil.Error:
        return "?"


def _jobs(run: int) -> Iterator[psutil.Process]:
    """Steps that a Snakemake has at work, in a random order."""
    try:
        found = psutil.Process(run).children(recursive=True)
        random.shuffle(found)
        for process in found:
            command = process.cmdline()
            if len(command) > 3 and Path(command[1]).name == "contextpress":
                yield process
    except psutil.Error:
        return


def strays(tree: Path, patience: float = 10.0) -> list[str]:
    """Command lines of processes that still work in a tree although nothing should."""
    until = time.monotonic() + patience
    while (found := list(_inside(tree))) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def _inside(tree: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == tree and process.status() != psutil.STATUS_ZOMBIE:
                yield " ".join(process.cmdline())
        except psutil.Error:
            continue


def chaos(kills: int, seed: int, output: Path) -> int:
    """Kill ``kills`` times, over as many studies as that takes; returns how many files came out otherwise."""
    chance = random.Random(seed)
    output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    mismatches: list[str] = []
    left: list[str] = []
    studies = 0
    started = time.time()
    with tempfile.TemporaryDirectory() as scratch:
        reference = copy_project(Path(scratch) / "undisturbed")
        done = snakemake(reference, timeout=3600)
        assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
        compared = len(digests(reference))
        while len(rows) < kills:
            tree = copy_project(Path(scratch) / f"study{studies}")
            ended, longest = False, LONGEST_WAIT
            while not ended:
                since = "start" if chance.random() < 1 / 6 else "first job"
                whom, number = chance.choice(KILLS)
                wait = chance.uniform(0, longest) if len(rows) < kills else float("inf")
                told = killed_run(tree, whom, number, wait, since)
                if told is None:
                    ended = True
                else:
                    # The longest step, too, is to come to an end at some time.
                    longest = LONGEST_WAIT if told["finished"] else 1.3 * longest
                    rows.append({"kill": len(rows) + 1, "study": studies + 1} | told)
                    _tell(rows, output / "kills.csv")
            mismatches += [f"study {studies + 1}: {name}" for name in differing(tree, reference)]
            left += strays(tree)
            studies += 1
    write_json(
        output / "summary.json",
        {
            "kills": len(rows),
            "mismatches": len(mismatches),
            "studies": studies,
            "files_compared": compared,
            "differing": mismatches,
            "processes_left": left,
            "resumed": sum(int(str(row["resumed"])) for row in rows),
            "seed": seed,
            "minutes": round((time.time() - started) / 60, 1),
        },
    )
    return len(mismatches) + len(left)


def _tell(rows: list[dict[str, object]], path: Path) -> None:
    with path.open("w", newline="") as handle:
        table = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    sys.stderr.write(" ".join(str(value) for value in rows[-1].values()) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/chaos"))
    options = parser.parse_args()
    return 1 if chaos(options.kills, options.seed, options.output) else 0


if __name__ == "__main__":
    sys.exit(main())
