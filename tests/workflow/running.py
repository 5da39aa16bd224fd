"""Running Snakemake and the command in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
SMOKE = "config/presets/smoke.yaml"
CORES = min(2, os.cpu_count() or 1)
NOTHING = "Nothing to be done"


def environment() -> dict[str, str]:
    """This one, with the commands of this interpreter first, no network, and no package but the checkout's own."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return kept | {"PATH": path, "HF_HUB_OFFLINE": "1"}


def copy_project(folder: Path) -> Path:
    """What git holds or would add, without results and caches."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():  # a deleted file is listed until the deletion is committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    return folder


def run(folder: Path, *command: str | Path, timeout: int = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def snakemake(
    folder: Path, *arguments: str | Path, overlay: Path | None = None, timeout: int = 900
) -> subprocess.CompletedProcess[str]:
    """Snakemake on the smoke study, or on what ``overlay`` makes of it."""
    configs = [SMOKE, *([overlay] if overlay else [])]
    command = [sys.executable, "-m", "snakemake", "--configfile", *configs, "--cores", str(CORES), *arguments]
    return run(folder, *command, timeout=timeout)


def would_run(folder: Path, overlay: Path | None = None, *arguments: str) -> dict[str, int]:
    """Rules that Snakemake would run, and how many jobs of each, but for ``all``; nothing is run."""
    done = snakemake(folder, "-n", "--quiet", "rules", "host", *arguments, overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    if NOTHING in done.stdout:
        return {}
    table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total +(\d+)$", done.stdout, re.DOTALL | re.MULTILINE)
    assert table, done.stdout
    jobs = {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}
    assert sum(jobs.values()) == int(table[2])
    jobs.pop("all")
    return jobs


def write_yaml(path: Path, values: object) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path
