"""Damage to the folder of a study, met by a real Snakemake: a line with the remedy, and after it the run goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workflow.chaos import RESULTS
from tests.workflow.running import snakemake

pytestmark = pytest.mark.workflow

FIGURE, FINDING = RESULTS / "figures/encoder_entropy.png", RESULTS / "findings/c1.json"


def ours(done: subprocess.CompletedProcess) -> list[str]:
    printed = f"{done.stdout}\n{done.stderr}"
    assert done.returncode not in (0, None), printed
    return [line for line in printed.splitlines() if line.startswith("contextpress: ")]


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    command = ["mount", *options, folder]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_damaged_finding_is_named_and_made_anew(tree):
    whole = (tree / FINDING).read_bytes()
    (tree / FINDING).write_bytes(whole[: len(whole) // 2])
    done = snakemake(tree, FIGURE)
    lines = ours(done)
    assert len(lines) == 1
    assert f"{FINDING} cannot be read as JSON" in lines[0]
    assert "delete it and run the same command again" in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    (tree / FINDING).unlink()
    done = snakemake(tree, FIGURE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tree / FINDING).read_bytes() == whole


def test_a_full_disk_is_told_and_the_run_goes_on_with_room(tree, finished):
    results = tree / "results"
    shutil.rmtree(results)
    results.mkdir()
    with mounted(results, "-t", "tmpfs", "-o", "size=32m", "none"):
        shutil.copytree(finished / "results", results, dirs_exist_ok=True)
        (tree / FIGURE).unlink()
        with pytest.raises(OSError, match="No space left"):
            (results / "ballast").write_bytes(bytes(1 << 26))
        lines = ours(snakemake(tree, FIGURE))
        # The job's own line finds no room in its log, or little.
        assert lines[-1] == (
            "contextpress: results/smoke cannot be written: the disk is full; free some space and run the same command "
            "again"
        )
        assert not (tree / FIGURE).exists()
        (results / "ballast").unlink()
        done = snakemake(tree, FIGURE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tree / FIGURE).read_bytes() == (finished / FIGURE).read_bytes()


def test_results_that_cannot_be_written_are_told(tree):
    for path in (tree / FIGURE).parent.glob(f"{FIGURE.stem}.*"):  # of outputs that are there Snakemake tells itself
        path.unlink()
    with mounted(tree / "results", "--bind", str(tree / "results")):
        subprocess.run(["mount", "-o", "remount,bind,ro", tree / "results"], check=True)
        lines = ours(snakemake(tree, FIGURE))
    assert len(lines) == 1
    assert lines[0] == (
        "contextpress: results/smoke cannot be written; make it writable and run the same command again"
    )
    done = snakemake(tree, FIGURE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["metadata", "incomplete"])
def test_damage_to_what_snakemake_keeps_is_told(tree, name):
    folder = tree / ".snakemake" / name
    shutil.rmtree(folder)
    folder.touch()
    lines = ours(snakemake(tree, "-n"))
    assert len(lines) == 1
    assert f".snakemake/{name}, where Snakemake notes which jobs are done, is no folder" in lines[0]
