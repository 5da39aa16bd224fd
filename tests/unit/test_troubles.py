"""Full or read-only disks and too little memory: one clear line, nothing half written, and on after repair."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from contextpress.cli import main
from contextpress.runtime.checkpoint import Checkpoint
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, replacing
from contextpress.runtime.troubles import LOWER, OTHERWISE, told, told_of_run
from contextpress.study import Study
from tests.unit.small_study import STEPS, files, forget, the_line


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 128 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def moved(folder: Path, name: str) -> list[str]:
    """A step's command with its outputs on another disk."""
    command, spec, outputs = STEPS[name]
    words, own = command.split(), {Path(output).parts[0] for output in outputs}
    for place in range(3, len(words)):
        if Path(words[place]).parts[0] in own:
            words[place] = str(folder / words[place])
    return [*words, *(["--spec", spec.line()] if spec is not None else [])]


WRITERS = ["domain", "tokenizer", "encode", "passages", "mixture", "warmup", "compressor", "reconstruct", "figure"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_what_is_on_it_stays(name, study, small_disk, capsys):
    forget(study, name)
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(1 << 20))
    capsys.readouterr()
    assert main(moved(small_disk, name)) == 2
    line = the_line(capsys)
    assert str(small_disk) in line
    assert "cannot be written: No space left on device; free some space and run the same command again" in line
    assert files(small_disk) == {"ballast"}
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    assert main(moved(small_disk, name)) == 0


def test_a_disk_that_cannot_be_written_is_told(study, small_disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for name in ("domain", "tokenizer", "warmup", "figure"):
        capsys.readouterr()
        assert main(moved(small_disk, name)) == 2
        line = the_line(capsys)
        assert str(small_disk) in line
        assert "Read-only file system; make it writable and run the same command again" in line
    subprocess.run(["mount", "-o", "remount,rw,size=16m", small_disk], check=True)
    assert main(moved(small_disk, "domain")) == 0


def test_a_full_disk_keeps_the_last_good_checkpoint_and_the_training_goes_on(small_disk, caplog):
    module = torch.nn.Linear(20, 20)
    checkpoint = Checkpoint(small_disk / "x", "same")
    checkpoint.save(module, [], torch.zeros(1), 0.0)
    before = checkpoint.path.read_bytes()
    checkpoint.save(torch.nn.Linear(200, 200), [], torch.zeros(2), 0.0)
    assert checkpoint.path.read_bytes() == before
    assert files(small_disk) == {"x"}
    assert "No space left on device" in caplog.text
    assert "the training goes on without" in caplog.text


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space left on device; free some space and run"),
        (errno.EDQUOT, "quota exceeded; free some space and run"),
        (errno.EROFS, "Read-only file system; make it writable and run"),
        (errno.EACCES, "Permission denied; make it writable and run"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("by", ["python", "rust"])
def test_why_a_file_cannot_be_written(number, says, by, tmp_path):
    error = OSError(number, os.strerror(number)) if by == "python" else Exception(f"I/O error (os error {number})")
    for opened in (replacing, filling):
        with pytest.raises(UserError, match="x cannot be written: ") as told_of, opened(tmp_path / "x"):
            raise error
        assert says in str(told_of.value)
    assert files(tmp_path) == set()


# -- memory

GREEDY = """
import resource, sys
from contextpress import cli
from contextpress.runtime import device
def hungry(*_):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
    import {library}
    {library}.{make}
device.prepare = hungry
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("library", "make"), [("torch", "zeros(1 << 38)"), ("numpy", "ones(1 << 38)")])
def test_too_little_memory_names_what_to_lower(library, make, study):
    command, spec, _ = STEPS["warmup"]
    done = subprocess.run(
        [sys.executable, "-c", GREEDY.format(library=library, make=make), *command.split(), "--spec", spec.line()],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("contextpress: lm warmup: out of memory (")
    assert "run fewer jobs at a time (snakemake --cores N) or lower config key lm.warmup.schedule.batch" in lines[0]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_library_has_a_word_for_too_little_memory(error):
    line = told(error, "reconstruction", "cram")
    assert line is not None
    assert line.startswith("reconstruction cram: out of memory (")
    assert "lower config key reconstruction.cramming.batch" in line


def test_too_little_memory_for_a_command_is_told_without_keys_of_a_study():
    assert told(MemoryError(), "compress") == (
        "compress: out of memory (MemoryError); give it less text at a time, and run again"
    )


def test_a_defect_keeps_its_traceback():
    assert told(RuntimeError("shapes cannot be multiplied"), "lm", "train") is None
    assert told(KeyError("x"), "lm", "train") is None


@pytest.mark.parametrize("key", [*LOWER.values(), OTHERWISE])
def test_the_key_to_lower_is_one_of_the_config(key):
    value = Study()
    for part in key.split("."):
        value = getattr(value, part)
    assert isinstance(value, int)


def test_steps_to_lower_for_are_steps():
    for room, name in LOWER:
        with pytest.raises(SystemExit) as ended:
            main([room, name, "--help"])
        assert ended.value.code == 0


@pytest.mark.parametrize("how", ["returned non-zero exit status 137.", "died with <Signals.SIGKILL: 9>."])
def test_a_job_that_was_killed_is_told_by_the_run(how, tmp_path):
    command = "Command 'set -euo pipefail;  contextpress {} --spec ' &> x.log' {}\n"
    log = command.format("lm train", how) * 2 + command.format("entropy model-free", how)
    log += command.format("corpus domain", "returned non-zero exit status 2.")
    lines = list(told_of_run(log, tmp_path))
    assert len(lines) == 2
    assert lines[0].startswith("entropy model-free was killed; if not by you, then most often for want of memory: run ")
    assert lines[1].startswith("lm train was killed; ")
    assert lines[1].endswith("or lower config key lm.pretraining.schedule.batch, and run again")


def test_a_disk_that_takes_no_log_is_told_by_the_run(small_disk):
    assert list(told_of_run("", small_disk)) == []
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    again = "and run the same command again"
    assert list(told_of_run("", small_disk)) == [
        f"{small_disk} cannot be written: the disk is full; free some space {again}"
    ]
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert list(told_of_run("", small_disk)) == [f"{small_disk} cannot be written; make it writable {again}"]
    assert list(told_of_run("", small_disk / "none")) == []
