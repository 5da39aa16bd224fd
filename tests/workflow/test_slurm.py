"""On a Slurm the study has the bytes of a local run, whatever befalls its jobs or is done to its config."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.workflow.chaos import RESULTS, differing
from tests.workflow.running import CORES, NOTHING, SMOKE, copy_project, environment
from tests.workflow.slurm import URGENT, cluster

pytestmark = pytest.mark.workflow

COMPRESSOR = "D1-D6-mean_pool-r4-s0"
LOST = [f"reconstructions/{COMPRESSOR}.parquet", "tables/observations.parquet", "findings/c1.json"]
TARGETS = [str(RESULTS / name) for name in [*LOST, f"compressors/{COMPRESSOR}/README.md"]]
CHECKPOINT = RESULTS / "checkpoints/compressors" / COMPRESSOR / "checkpoint.safetensors"


@pytest.fixture(scope="session", autouse=True)  # before anything is run for it
def _slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture
def without_compressor(tree) -> Path:
    """A copy of the finished study that lacks one compressor and what follows from it."""
    shutil.rmtree(tree / RESULTS / "compressors" / COMPRESSOR)
    for name in LOST:
        (tree / RESULTS / name).unlink()
    return tree


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Snakemake on the smoke study, on Slurm; asking often, so that the tests are quick."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--profile", "workflow/profiles/slurm"]
    # As many threads as in a local run of the tests: rounding depends on their number.
    command += ["--configfile", SMOKE, "--max-threads", str(CORES), "--slurm-init-seconds-before-status-checks", "1"]
    with (folder / "snakemake.log").open("w") as printed:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment() | {"CONTEXTPRESS_CHECKPOINT_SECONDS": "0"},
            stdout=printed,
            stderr=subprocess.STDOUT,
            text=True,
        )


def finish(run: subprocess.Popen[str], folder: Path, timeout: int = 600) -> str:
    """What Snakemake printed, once it has ended well."""
    try:
        run.wait(timeout)
    finally:
        run.terminate()  # which cancels its jobs
        run.wait(60)
    printed = (folder / "snakemake.log").read_text()
    assert run.returncode == 0, printed[-5000:]
    return printed


def wait_until(condition: Callable[[], object], run: subprocess.Popen[str], patience: float = 120) -> None:
    until = time.monotonic() + patience
    while not condition():
        assert run.poll() is None, "Snakemake ended before"
        assert time.monotonic() < until
        time.sleep(0.05)


def jobs_of(folder: Path) -> dict[str, dict[str, str]]:
    """What Slurm knows of the jobs of a folder, by the comment that names rule and wildcards."""
    shown = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True)
    jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.stdout.splitlines()]
    return {job["Comment"]: job for job in jobs if job.get("WorkDir") == str(folder)}


def step_of(checkpoint: Path) -> int:
    with safe_open(checkpoint, "pt") as kept:
        return json.loads(kept.metadata()["contextpress"])["step"]


def test_the_smoke_study_has_the_bytes_of_a_local_run(finished, tmp_path):
    tree = copy_project(tmp_path / "tree")
    printed = finish(start(tree), tree, timeout=1800)
    assert "Trying to restart" not in printed
    assert differing(tree, finished) == []
    run = start(tree)
    assert NOTHING in finish(run, tree)


def test_jobs_get_the_config_that_the_run_began_with(finished, without_compressor):
    tree = without_compressor
    run = start(tree, *TARGETS)
    wait_until(lambda: f"rule_compressor_wildcards_{COMPRESSOR}" in jobs_of(tree), run)
    # The jobs that follow are submitted only when this one has ended.
    (tree / "config/config.yaml").write_text("study: [half of a line")
    (tree / SMOKE).write_text("study: another\nanalysis: {claims: {draws: 100}}\n")
    finish(run, tree)
    assert differing(tree, finished) == []


@pytest.mark.parametrize("how", ["time-out", "preemption", "Snakemake is killed"])
def test_a_training_that_is_stopped_goes_on_from_its_checkpoint(finished, without_compressor, how):
    if how == "preemption" and not subprocess.check_output(["sinfo", "--noheader", "--partition", URGENT]):
        pytest.skip(f"this Slurm has no partition {URGENT} whose jobs preempt others")
    tree = without_compressor
    run = start(tree, *TARGETS, *(["--set-resources", "compressor:runtime=1"] if how == "time-out" else []))
    job = f"rule_compressor_wildcards_{COMPRESSOR}"
    wait_until(lambda: job in jobs_of(tree), run)
    number = jobs_of(tree)[job]["JobId"]  # now, since the training is short: it is stopped after its first steps
    wait_until((tree / CHECKPOINT).exists, run)
    subprocess.run(["scancel", "--signal=STOP", number], check=True)
    time.sleep(1)
    step = step_of(tree / CHECKPOINT)
    # Slurm wakes what it is about to stop, and asks for an end before it makes one: what is trained then is not lost.
    if how == "time-out":  # a minute from its start on, or sooner
        subprocess.run(["scontrol", "update", f"JobId={number}", "EndTime=now+1"], check=False)
    elif how == "preemption":
        urgent = ["sbatch", "--partition", URGENT, "--exclusive", "--output=/dev/null", "--wrap=true"]
        subprocess.run(urgent, check=True)
        wait_until(lambda: jobs_of(tree)[job]["Restarts"] == "1", run)
        subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], check=False)  # or in two minutes
    else:
        run.kill()
        run.wait()
        run = start(tree, *TARGETS)
    printed = finish(run, tree)
    assert ("TIMEOUT" in printed) == (how == "time-out")
    assert (f"ending Slurm job {number} " in printed) == (how == "Snakemake is killed")
    resumed = re.search(
        r"going on after step (\d+)", (tree / RESULTS / f"logs/compressors/{COMPRESSOR}.log").read_text()
    )
    assert resumed
    assert int(resumed[1]) > step
    assert (jobs_of(tree)[job]["JobId"] == number) == (how == "preemption")  # the same job, put back into the queue
    assert differing(tree, finished) == []


def test_a_job_with_a_model_asks_for_a_gpu(finished, without_compressor):
    if b"gpu" not in subprocess.check_output(["sinfo", "--noheader", "--format", "%G"]):
        pytest.skip("this Slurm has no GPU")
    tree = without_compressor
    finish(start(tree, *TARGETS[:2], "--config", "gpus=1"), tree)
    gpus = {comment.split("_wildcards")[0]: job.get("TresPerJob", "") for comment, job in jobs_of(tree).items()}
    assert gpus == {"rule_compressor": "gres:gpu:1", "rule_reconstruct": "gres:gpu:1", "rule_observations": ""}
    if not Path("/dev/nvidia0").exists():  # a GPU in name only: computed on the processor, with the same bytes
        changed = RESULTS / LOST[0]
        assert (tree / changed).read_bytes() == (finished / changed).read_bytes()
