"""docs/guide.md, run as it is written: its files are written, its patches applied, its commands run, in order."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.workflow.running import PROJECT, copy_project, environment

pytestmark = pytest.mark.workflow
GUIDE = (PROJECT / "docs/guide.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in GUIDE.split("\n## ")[1:])
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST = 1800  # seconds of one command


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of the project in which one section after the other is followed."""
    return copy_project(tmp_path_factory.mktemp("guide"))


def follow(folder: Path, title: str) -> str:
    """Do what a section says; what its commands printed."""
    said = ""
    # The command and the tests are the checkout's own, as where it was installed; data sets cannot be reached.
    package = {"PYTHONPATH": os.pathsep.join(["workflow", "."]), "HF_DATASETS_OFFLINE": "1"}
    for kind, name, text in BLOCK.findall(SECTIONS[title]):
        if name:
            (folder / name).write_text(text, encoding="utf-8")
            continue
        assert kind in ("console", "diff"), f"a block of {kind} is neither run nor written"
        command = ["git", "apply"] if kind == "diff" else ["bash", "-euo", "pipefail"]
        done = subprocess.run(
            command,
            input=text,
            cwd=folder,
            env=environment() | package,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        said += done.stdout
    return said


def jobs(said: str) -> set[str]:
    """Rules that Snakemake announced to run."""
    table = said.partition("Job stats:")[2].partition("Select jobs")[0]
    return set(re.findall(r"^(\w+) +\d+$", table, re.MULTILINE)) - {"total"}


def test_every_section_is_followed_by_a_test_below():
    assert list(SECTIONS) == [
        "Your own corpus in five minutes",
        "Your own pair in five minutes",
        "Read the verdicts",
        "Add a claim",
        "Add a read-out",
    ]


def test_a_corpus_of_ones_own(folder):
    follow(folder, "Your own corpus in five minutes")
    page = (folder / "results/mine/summary.html").read_text(encoding="utf-8")
    drawn = list((folder / "results/mine/figures").glob("*.svg"))
    assert page.count("<img ") == len(drawn) > 8
    assert "manual" in page


def test_a_pair_of_ones_own(folder):
    follow(folder, "Your own pair in five minutes")
    assert (folder / "results/pair/summary.html").is_file()
    assert not list((folder / "results/pair/checkpoints/lm").glob("*"))  # nothing was pretrained
    assert (folder / "note.safetensors").stat().st_size > 0


def test_verdicts_are_read(folder):
    said = follow(folder, "Read the verdicts")
    reason = "inconclusive, for 1 training seed(s); at least 2 are needed"
    *claims, advice = re.findall(r"^C\d: .*", said, re.MULTILINE)
    assert claims == [f"C{number}: {reason}" for number in (1, 2, 3)]
    assert advice.startswith("C4: inconclusive, for ")
    found = json.loads((folder / "results/mine/findings/c1.json").read_text(encoding="utf-8"))
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", SECTIONS["Read the verdicts"], re.MULTILINE)))
    assert len(keys) == 11
    assert set(keys) <= set(found)


def test_a_claim_is_added_and_tested(folder):
    said = follow(folder, "Add a claim")
    assert jobs(said) == {"observations", "claims"}
    assert "C5: inconclusive, for 1 training seed(s)" in said
    found = json.loads((folder / "results/mine/findings/c5.json").read_text(encoding="utf-8"))
    assert found["family"]["members"] == ["C1", "C2", "C3", "C5"]
    assert found["effect"] is not None


def test_a_readout_is_added_and_trained(folder):
    said = follow(folder, "Add a read-out")
    assert re.search(r"\d+ passed", said)
    assert jobs(said) == {"compressor"}
    made = folder / "results/mine/compressors/D1-D6-last_state-r4-s0/compressor.json"
    architecture = json.loads(made.read_text(encoding="utf-8"))["spec"]["architecture"]
    assert architecture["readout"] == "last_state"
    assert "last_state" in (folder / "config/keys.md").read_text(encoding="utf-8")
