"""A training that is stopped and goes on ends with the same bytes; one that cannot go on says so and starts anew."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from contextpress.lm.pretrain import new_model, pretrain, warm_up
from contextpress.lm.spec import CopyWarmup, Pretraining, Shape, WarmupSpec
from contextpress.runtime import checkpoint as checkpoint_module
from contextpress.runtime.checkpoint import SECONDS_VARIABLE, Checkpoint, fingerprint, work_in
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.fit import fit
from contextpress.runtime.sampling import endless, generator_at
from contextpress.runtime.schedule import Schedule

SHAPE = Shape(layers=1, width=16, heads=2, intermediate=24, context=40)
STEPS = 6
SCHEDULE = Schedule(steps=STEPS, batch=8, learning_rate=0.01)
ORDINARY, BOS, RESTATE, VOCABULARY = torch.arange(2, 30), 0, 1, 30
WINDOWS = torch.randint(2, 30, (11, 12), generator=torch.Generator().manual_seed(1)).int()


class StoppedError(Exception):
    """In place of the end of the process."""


@pytest.fixture(autouse=True)
def _always_due(monkeypatch):
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    monkeypatch.setattr(checkpoint_module, "LARGEST_SHARE", 1e9)


@pytest.fixture(autouse=True)
def _told(caplog):
    caplog.set_level(logging.INFO)


def train(kind: str, checkpoint: Checkpoint | None = None) -> tuple[bytes, list[float]]:
    """Weights and losses of a tiny model with dropout, so that the global generator counts too."""
    torch.manual_seed(3)
    model = new_model(SHAPE, VOCABULARY, BOS, torch.device("cpu")).train()
    model.config.attention_dropout = model.model.layers[0].self_attn.attention_dropout = 0.2
    if kind == "warm_up":
        spec = WarmupSpec(shape=SHAPE, warmup=CopyWarmup(schedule=SCHEDULE, longest=8), groups=(1, 2))
        done = warm_up(model, spec, ORDINARY, BOS, RESTATE, checkpoint)
    else:
        spec = Pretraining(schedule=SCHEDULE, row=12)
        done = pretrain(model, spec, (1, 2), WINDOWS, ORDINARY, BOS, RESTATE, 5, "D1", checkpoint)
    return b"".join(p.detach().numpy().tobytes() for p in model.parameters()), done.loss


def stop_after(step: int, monkeypatch) -> None:
    """End the training as a kill does: right after the checkpoint of that step."""
    write = Checkpoint._write

    def write_and_stop(self, tensors, done, seconds):
        write(self, tensors, done, seconds)
        if done == step:
            raise StoppedError

    monkeypatch.setattr(Checkpoint, "_write", write_and_stop)


@pytest.mark.parametrize("kind", ["warm_up", "pretrain"])
@pytest.mark.parametrize("stops", [[1], [4], [2, 3, 5], [STEPS]])
def test_a_stopped_training_ends_with_the_same_bytes(kind, stops, tmp_path, monkeypatch):
    undisturbed = train(kind)
    for step in stops:
        with monkeypatch.context() as patch, pytest.raises(StoppedError), work_in(tmp_path, "same") as checkpoint:
            stop_after(step, patch)
            train(kind, checkpoint)
        torch.manual_seed(99)
    with work_in(tmp_path, "same") as checkpoint:
        assert train(kind, checkpoint) == undisturbed
    assert not checkpoint.path.exists()  # what is finished needs none


def test_a_model_with_dropout_needs_the_global_generator(tmp_path, monkeypatch):
    """The test above would miss a forgotten generator if dropout drew nothing."""
    monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
    with monkeypatch.context() as patch, pytest.raises(StoppedError), work_in(tmp_path, "same") as checkpoint:
        stop_after(2, patch)
        train("pretrain", checkpoint)
    assert train("pretrain", checkpoint) != train("pretrain")


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "header", "other", "foreign"])
def test_a_checkpoint_that_cannot_be_used_is_told_and_dropped(damage, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch, pytest.raises(StoppedError), work_in(tmp_path, "same") as checkpoint:
        stop_after(3, patch)
        train("pretrain", checkpoint)
    path, identity = checkpoint.path, "same"
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "flipped":
        path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    elif damage == "header":
        path.write_bytes(b"\xff" * 8 + whole[8:])
    elif damage == "foreign":
        save_file({"x": torch.zeros(3)}, path)
    else:
        identity = "another spec"
    caplog.clear()
    with work_in(tmp_path, identity) as checkpoint:
        assert train("pretrain", checkpoint) == train("pretrain")
    lines = [line for line in caplog.messages if str(path) in line]
    assert len(lines) == 1
    assert "starts anew" in lines[0]
    assert ("is damaged" if damage in ("cut", "emptied", "flipped", "header") else "of another spec") in lines[0]


def test_a_checkpoint_is_written_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setenv(SECONDS_VARIABLE, "60")
    written, now = [], [0.0]
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint_module, "LARGEST_SHARE", 0.05)

    def write(self, tensors, done, seconds):
        written.append(now[0])
        now[0] += 6  # a twentieth of two minutes

    monkeypatch.setattr(Checkpoint, "_write", write)
    checkpoint = Checkpoint(tmp_path / "x", "same")
    module = torch.nn.Linear(1, 1)
    for _ in range(400):
        now[0] += 1
        if checkpoint.due():
            checkpoint.save(module, [], torch.zeros(1), 0.0)
    assert written == [60, 186, 312]


def test_a_disk_that_cannot_be_written_stops_no_training(tmp_path, caplog):
    with work_in(tmp_path / "kept", "same") as checkpoint:
        (tmp_path / "kept" / "checkpoint.safetensors").mkdir()  # in the way of the file
        (tmp_path / "kept" / "checkpoint.safetensors" / "x").touch()
        assert train("pretrain", checkpoint) == train("pretrain")
        checkpoint.path = tmp_path / "none"
    assert "cannot be written" in caplog.text


class Diverging(torch.nn.Linear):
    def forward(self, step: int) -> torch.Tensor:
        return (self.weight.sum() ** 2) * (float("nan") if step >= 4 else 1)


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    module = Diverging(3, 3, bias=False)
    with pytest.raises(UserError, match="trial: the loss is not finite from step 4 on"), work_in(tmp_path, "same") as c:
        fit("trial", module, lambda step: (step,), SCHEDULE, 1, c)
    kept = load_file(c.path)
    assert len(kept["losses"]) == 4
    assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in kept.values())
    # Once it is mended it goes on from there.
    with work_in(tmp_path, "same") as c:
        mended = fit("trial", module, lambda step: (0,), SCHEDULE, 1, c)
    assert len(mended.loss) == STEPS
    assert mended.loss[:4] == kept["losses"].tolist()


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    module = torch.nn.Linear(2, 2)
    checkpoint = Checkpoint(tmp_path / "x", "same")
    checkpoint.save(module, [], torch.zeros(1), 0.0)
    before = checkpoint.path.read_bytes()
    with torch.no_grad():
        module.weight[0, 0] = float("inf")
    checkpoint.save(module, [], torch.zeros(2), 0.0)
    assert checkpoint.path.read_bytes() == before


TRAINER = """
import sys, time, torch
from pathlib import Path
from contextpress.cli import logging
from contextpress.runtime.checkpoint import work_in
from contextpress.runtime.fit import fit
from contextpress.runtime.schedule import Schedule
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
torch.manual_seed(0)
out = Path(sys.argv[1])
class Slow(torch.nn.Linear):
    def forward(self, step):
        time.sleep(0 if (out / "hurry").exists() else 0.25)
        (out / "steps").open("a").write(f"{step}\\n")
        return (super().forward(torch.ones(3)) ** 2).sum()
with work_in(out / "kept", "same") as checkpoint:
    fit("trial", Slow(3, 3), lambda step: (step,), Schedule(steps=500, batch=1, learning_rate=0.01), 1, checkpoint)
"""


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), SECONDS_VARIABLE: "3600"}
    return subprocess.Popen(
        [sys.executable, "-c", TRAINER, folder],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )


def steps_of(folder: Path) -> list[int]:
    path = folder / "steps"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(folder: Path, steps: int) -> None:
    until = time.monotonic() + 120
    while len(steps_of(folder)) < steps:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_signals_save_and_are_passed_on_and_a_second_trainer_waits(tmp_path):
    first = start(tmp_path)
    wait_for(tmp_path, 3)
    second = start(tmp_path)
    assert second.stderr is not None
    assert second.stderr.readline() == f"another process trains in {tmp_path}/kept; waiting until it ends\n"
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == -signal.SIGTERM
    done = len(steps_of(tmp_path))
    wait_for(tmp_path, done + 2)
    second.send_signal(signal.SIGINT)
    printed = second.communicate(timeout=120)[1]
    assert second.returncode == -signal.SIGINT
    assert f"going on after step {done}, from {tmp_path}/kept/checkpoint.safetensors" in printed
    assert f"SIGINT: stopped after step {len(steps_of(tmp_path))}; the same command goes on from there" in printed
    assert "Traceback" not in printed
    (tmp_path / "hurry").touch()
    assert start(tmp_path).wait(120) == 0
    assert steps_of(tmp_path) == list(range(500))  # none lost, none twice
    assert not (tmp_path / "kept/checkpoint.safetensors").exists()


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        checkpoint = Checkpoint(tmp_path / "x", "same")
        with checkpoint.listening():
            os.kill(os.getpid(), signal.SIGINT)
        assert checkpoint.stopped_by == 0
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_fingerprint_is_of_spec_code_and_inputs(tmp_path, monkeypatch):
    module, rows = "contextpress.lm.steps", tmp_path / "rows"
    rows.write_bytes(b"one")
    before = fingerprint(SHAPE, module, [rows])
    assert fingerprint(Shape(**SHAPE.model_dump()), module, [rows]) == before
    found = {
        fingerprint(SHAPE.model_copy(update={"layers": 2}), module, [rows]),
        fingerprint(SHAPE, "contextpress.compressor.steps", [rows]),
        fingerprint(SHAPE, module, []),
    }
    rows.write_bytes(b"two")
    found.add(fingerprint(SHAPE, module, [rows]))
    monkeypatch.setattr(checkpoint_module, "version", lambda name: "0")
    found.add(fingerprint(SHAPE, module, [rows]))
    assert len(found | {before}) == 6


# -- drawing


@settings(max_examples=30)
@given(rows=st.integers(1, 9), count=st.integers(0, 20), seed=st.integers(0, 3))
def test_rows_are_drawn_evenly_and_by_step_alone(rows, count, seed):
    draw = endless(torch.arange(rows), count, seed, "x")
    drawn = [draw(step).tolist() for step in range(7)]
    assert [draw(step).tolist() for step in (5, 0, 6)] == [drawn[5], drawn[0], drawn[6]]
    flat = [row for part in drawn for row in part]
    assert len(flat) == 7 * count
    whole = len(flat) // rows * rows
    for start in range(0, whole, rows):
        assert sorted(flat[start : start + rows]) == list(range(rows))
    assert len(set(flat[whole:])) == len(flat) - whole


def test_places_draw_apart():
    places = [(0,), (1,), (0, 0), (0, 1), (0, "x"), (0, "x", 1), (0, "y")]
    drawn = [tuple(torch.randint(2**30, (4,), generator=generator_at(*place)).tolist()) for place in places]
    assert len(set(drawn)) == len(places)
    assert [tuple(torch.randint(2**30, (4,), generator=generator_at(*place)).tolist()) for place in places] == drawn
