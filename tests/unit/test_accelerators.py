"""One job per accelerator. The devices are names here; the processes and their locks are real."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import pytest
import torch

from contextpress.runtime import accelerators, device
from contextpress.runtime.accelerators import hold, visible
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError

# Takes devices, says which, and keeps them until a line comes or it is killed. Whoever else had the same device at the
# same time would find its mark.
HOLDER = """
import logging, sys
from pathlib import Path
from contextpress.runtime import accelerators
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
accelerators.SECONDS_BETWEEN_LOOKS = 0.02
devices, count, marks = sys.argv[1].split(","), int(sys.argv[2]), Path(sys.argv[3])
places = accelerators.hold(devices, count)
for place in places:
    (marks / devices[place]).touch(exist_ok=False)
print("holds", *places, flush=True)
sys.stdin.readline()
for place in places:
    (marks / devices[place]).unlink()
"""
SAID = "other jobs hold the accelerators of this machine (2 visible); waiting until enough are free\n"


@pytest.fixture
def start(tmp_path):
    """Starts holders of ``count`` of ``devices``."""
    started: list[subprocess.Popen] = []
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "TMPDIR": str(tmp_path)}
    (tmp_path / "marks").mkdir()

    def holder(devices: str = "a,b", count: int = 1) -> subprocess.Popen:
        command = [sys.executable, "-u", "-c", HOLDER, devices, str(count), tmp_path / "marks"]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield holder
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(60) == 0, process.stderr.read()


def hold_both(start: Callable[[], subprocess.Popen]) -> tuple[subprocess.Popen, subprocess.Popen]:
    """One after the other: two at once may meet in the queue, and on a busy machine one of them says so."""
    first = start()
    assert first.stdout.readline() == "holds 0\n"
    second = start()
    assert second.stdout.readline() == "holds 1\n"
    return first, second


def test_each_takes_the_first_free_device_and_the_next_waits(start):
    first, second = hold_both(start)
    third = start()
    assert third.stdout.readline() == SAID
    end(second)
    assert third.stdout.readline() == "holds 1\n"
    end(third)
    end(first)
    assert start().stdout.readline() == "holds 0\n"


def test_a_killed_holder_frees_its_device(start, tmp_path):
    holders = hold_both(start)
    waiting = start()
    assert waiting.stdout.readline() == SAID
    (tmp_path / "marks" / "a").unlink()  # a killed process cannot
    holders[0].kill()
    assert waiting.stdout.readline() == "holds 0\n"


def test_a_killed_waiter_lets_the_next_one_go_on(start):
    holder = start("a")
    assert holder.stdout.readline() == "holds 0\n"
    waiting = start("a")
    assert waiting.stdout.readline().startswith("other jobs hold")
    behind = start("a")
    assert behind.stdout.readline().startswith("other jobs hold")
    waiting.kill()
    end(holder)
    assert behind.stdout.readline() == "holds 0\n"


def test_a_queue_that_only_passes_by_is_no_news(tmp_path, monkeypatch, caplog):
    """Another job holds the queue while it takes a free device, and leaves it at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(accelerators, "_held", [])
    folder = tmp_path / f"contextpress-{os.getuid()}"
    folder.mkdir()
    with (folder / accelerators.QUEUE).open("a") as queue, caplog.at_level(logging.INFO):
        fcntl.flock(queue, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda seconds: fcntl.flock(queue, fcntl.LOCK_UN))
        assert hold(["a"]) == [0]
    assert caplog.messages == []


def test_never_two_holders_of_one_device(start):
    """Twelve jobs of one or two devices on three; each leaves as soon as it has come."""
    crowd = [start("a,b,c", 1 + number % 2) for number in range(12)]
    for process in crowd:
        process.stdin.write("\n")
        process.stdin.flush()
    for number, process in enumerate(crowd):
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert len(printed.splitlines()[-1].split()) == 2 + number % 2


def test_a_job_for_several_devices_is_not_overtaken(start):
    one, two = hold_both(start)
    both = start(count=2)
    assert both.stdout.readline() == SAID
    late = start()
    assert late.stdout.readline() == SAID
    end(one)
    end(two)
    assert both.stdout.readline() == "holds 0 1\n"
    end(both)
    assert late.stdout.readline() == "holds 0\n"


def test_more_than_there_are_is_refused():
    with pytest.raises(UserError, match=r"3 accelerators are wanted .* but this job sees 2; see CUDA_VISIBLE_DEVICES"):
        hold(["a", "b"], 3)


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / f"contextpress-{os.getuid()}").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserError, match=r"lock files of accelerators cannot be written in .*: (File exists|Not a dir)"):
        hold(["a"])


UUIDS = ["GPU-11aa", "GPU-22bb", "GPU-33cc"]


@pytest.mark.parametrize(
    ("allowed", "count", "uuids", "names"),
    [
        (None, 3, UUIDS, UUIDS),
        ("2,0", 2, UUIDS, ["GPU-33cc", "GPU-11aa"]),
        ("GPU-2", 1, UUIDS, ["GPU-22bb"]),
        ("1", 1, None, ["1"]),
        ("MIG-7", 1, UUIDS, ["MIG-7"]),
        ("", 0, UUIDS, []),
    ],
)
def test_devices_are_named_by_uuid_whatever_way_they_are_given(allowed, count, uuids, names, monkeypatch):
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed or "")
    if allowed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "_raw_device_uuid_nvml", lambda: uuids)
    assert visible() == names


def test_a_step_has_one_device_however_often_it_asks(tmp_path, monkeypatch):
    chosen: list[torch.device] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(device, "visible", lambda: UUIDS)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(accelerators, "_held", [])
    device.own_device.cache_clear()
    try:
        assert device.prepare(0) == device.prepare(1) == torch.device("cuda", 0)
        assert chosen == [torch.device("cuda", 0)]
        device.own_device.cache_clear()
        assert device.prepare(0) == torch.device("cuda", 1)  # as another job would get
    finally:
        device.own_device.cache_clear()


def test_without_an_accelerator_nothing_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(device, "visible", list)
    device.own_device.cache_clear()
    assert device.prepare(0) == torch.device("cpu")
    assert list(tmp_path.iterdir()) == []
    device.own_device.cache_clear()
