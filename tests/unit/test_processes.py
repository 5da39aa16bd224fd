"""One model on several processes: the losses and weights of one process, by DDP and by FSDP.

Two real processes that talk by gloo, started as the workflow starts them. They train each case of ``CASES`` and write
losses and weights; here the same is done by one process.

Tolerances: the shares of a batch are summed in another order than the batch, which changes its first loss by 1e-6 of
it at most. Later losses may differ by 1e-4, for Muon's products are in bfloat16, and Adam's first steps are as long for
a gradient near zero as for any other: there rounding decides. Weights may differ by 3 % of how far they moved.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed import HashStore

from contextpress.compressor.model import Compressor
from contextpress.compressor.objectives import OBJECTIVES
from contextpress.compressor.spec import Architecture, Curriculum
from contextpress.compressor.training import train
from contextpress.lm.pretrain import new_model, pretrain
from contextpress.lm.spec import Pretraining, Shape
from contextpress.runtime import device, processes
from contextpress.runtime.checkpoint import Checkpoint, work_in
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.history import History
from contextpress.runtime.schedule import Schedule

BOS, RESTATE, VOCABULARY, WINDOW = 0, 1, 30, 8
SHAPE = Shape(layers=2, width=16, heads=2, intermediate=24, context=40)
# The batch of 7 falls into shares of 4 and 3; rows of pretraining differ in how many labels they hold.
PLAIN = Schedule(steps=8, batch=7, learning_rate=0.01)
CASES = {
    "none": ["lm", "pooled", "tokens", "key_values", "everything"],
    "full": ["lm", "pooled", "tokens", "everything"],
}


def language_model(seed: int):
    torch.manual_seed(seed)
    return new_model(SHAPE, VOCABULARY, BOS, torch.device("cpu")).train()


Weights = dict[str, torch.Tensor]


@patch("contextpress.runtime.fit.mixed_precision", lambda device: nullcontext())
@patch("contextpress.runtime.fit.precision", lambda device: "no")
def trained(case: str, schedule: Schedule, folder: Path | None = None) -> tuple[History, Weights, Weights]:
    """Losses, trained and first weights of one case, in float32; with a folder, from and to a checkpoint in it."""
    ids = torch.randint(2, VOCABULARY, (11, 2 * WINDOW), generator=torch.Generator().manual_seed(1))
    if case == "lm":
        module = language_model(0)
        spec = Pretraining(schedule=schedule, row=2 * WINDOW)

        def run(checkpoint):
            ordinary = torch.arange(2, VOCABULARY)
            return pretrain(module, spec, (1, 2), ids.int(), ordinary, BOS, RESTATE, 5, "D1", checkpoint)
    else:
        readout = {"pooled": "mean_pool", "tokens": "memory_tokens", "key_values": "kv_prefix"}.get(case, "interleaved")
        both = case == "everything"
        architecture = Architecture(readout=readout, ratio=2, decoder_training="full" if both else "frozen")
        encoder, decoder = language_model(0), language_model(1)
        module = Compressor(encoder, decoder, architecture, WINDOW, BOS, RESTATE)
        objective = OBJECTIVES["autoencoding_continuation" if both else "autoencoding"](module, 0.5)
        rows = ids[:, : objective.spans * WINDOW].numpy()

        def run(checkpoint):
            return train(objective, {"a": rows}, {"a": 1.0}, schedule, Curriculum(), 3, "x", checkpoint)

    first = learning(module)
    if folder is None:
        done = run(None)
    else:
        with work_in(folder, "same") as checkpoint:
            done = run(checkpoint)
    return done, learning(module), first


def learning(module: torch.nn.Module) -> Weights:
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


class StoppedError(Exception):
    """In place of the end of a process by a signal."""


def in_one_of_two(out: Path) -> None:
    """What each of two processes does."""
    from accelerate.state import AcceleratorState

    assert device.prepare(0, 2) == torch.device("cpu")
    rank = int(os.environ["RANK"])
    for sharding, cases in CASES.items():
        schedule = PLAIN.model_copy(update={"processes": 2, "sharding": sharding})
        for case in cases:
            done, weights, _ = trained(case, schedule)
            assert all(type(weight) is torch.Tensor for weight in weights.values())
            save_file(weights, out / f"{sharding}-{case}-{rank}.safetensors")
            (out / f"{sharding}-{case}-{rank}.json").write_text(json.dumps(done.loss))
            AcceleratorState._reset_state()
        stopped_and_resumed(schedule, out, rank)
        AcceleratorState._reset_state()


def stopped_and_resumed(schedule: Schedule, out: Path, rank: int) -> None:
    """One of the two is asked to end after step 3: both save and end, and what goes on ends with the same bytes."""
    kept = out / f"kept-{schedule.sharding}"
    written: list[int] = []

    def due(self) -> bool:
        written.append(0)
        if rank == 1 and len(written) == 3:
            self.stopped_by = signal.SIGTERM
        return bool(self.stopped_by)

    def end(process: int, number: int) -> None:
        raise StoppedError

    ending = patch("contextpress.runtime.checkpoint.os.kill", end)
    with patch.object(Checkpoint, "due", due), ending, pytest.raises(StoppedError):
        trained("lm", schedule, kept)
    assert len(written) == 3
    processes.wait()
    assert len(load_file(kept / "checkpoint.safetensors")["losses"]) == 3
    again, weights, _ = trained("lm", schedule, kept)
    expected = load_file(out / f"{schedule.sharding}-lm-{rank}.safetensors")
    assert again.loss == json.loads((out / f"{schedule.sharding}-lm-{rank}.json").read_text())
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


LAUNCH = [
    *(Path(sys.executable).parent / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
    *("--num_cpu_threads_per_process", "1"),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes wrote."""
    out = tmp_path_factory.mktemp("two")
    environment = os.environ | {"PYTHONPATH": f"{PACKAGE.parent}:{Path(__file__).parents[2]}"}
    done = subprocess.run(
        [*LAUNCH, "--module", __name__, out], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.parametrize(("sharding", "case"), [(sharding, case) for sharding in CASES for case in CASES[sharding]])
def test_two_processes_train_as_one_does(sharding, case, two):
    alone, weights, first = trained(case, PLAIN)
    found = [load_file(two / f"{sharding}-{case}-{rank}.safetensors") for rank in (0, 1)]
    losses = [json.loads((two / f"{sharding}-{case}-{rank}.json").read_text()) for rank in (0, 1)]
    assert losses[0] == losses[1]
    np.testing.assert_allclose(losses[0][0], alone.loss[0], rtol=1e-6)
    np.testing.assert_allclose(losses[0], alone.loss, rtol=1e-4)
    assert all(torch.equal(found[0][name], found[1][name]) for name in weights)
    moved, apart = (
        torch.cat([(weights[name] - other[name]).flatten() for name in weights]).norm() for other in (first, found[0])
    )
    assert apart < 0.03 * moved, (apart, moved)


def test_a_training_for_two_is_refused_to_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(UserError, match=r"this training is for 2 processes .*, and 1 started; start it with"):
        device.prepare(0, 2)


def test_the_first_process_takes_the_devices_of_all(monkeypatch):
    store, asked = HashStore(), []

    def hold(names: list[str], count: int) -> list[int]:
        asked.append(count)
        return [1, 3]

    monkeypatch.setattr(processes, "rendezvous", lambda url: iter([(store, 0, 2)]))
    monkeypatch.setattr(processes, "hold", hold)
    with ThreadPoolExecutor() as threads:
        others = threads.submit(processes.shared_out, ["a", "b", "c", "d"], 2, 1)
        assert processes.shared_out(["a", "b", "c", "d"], 2, 0) == others.result(60) == ["b", "d"]
    assert asked == [2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"processes": 8}, "processes is 8: at most one for each of the 7 rows of a step"),
        ({"sharding": "full"}, "sharding is full, which needs processes of 2 or more"),
        ({"processes": 0}, "processes is 0: should be greater than 0"),
    ],
)
def test_processes_without_work_are_refused(change, says):
    with pytest.raises(UserError, match=says):
        Schedule.read(PLAIN.model_dump() | change)


if __name__ == "__main__":
    in_one_of_two(Path(sys.argv[1]))
