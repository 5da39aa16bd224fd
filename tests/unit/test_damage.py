"""Damage to a study's files and to a job's surroundings: one clear line, nothing half written, and on after repair."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.runtime import seals
from contextpress.runtime.checkpoint import SECONDS_VARIABLE, Checkpoint
from contextpress.runtime.closure import PACKAGE
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, read_json, read_text, replacing, write_text
from contextpress.runtime.fit import fit
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.tables import read_csv, read_table, required, write_table
from contextpress.runtime.troubles import LOWER, OTHERWISE, told, told_of_run
from contextpress.study import Study
from contextpress.tokens.arrays import load_arrays, save_arrays
from tests.unit.fake_study import observations

SCHEDULE = {"steps": 4, "batch": 4, "learning_rate": 0.01}
PLAN = Plan(
    {
        "study": "tiny",
        "seeds": [0],
        "corpus": {
            "characters": 20_000,
            "mixture_tokens": 400,
            "domains": [{"name": "sums", "kind": "arithmetic"}, {"name": "chain", "kind": "uniform", "words": 64}],
            "natural": ["sums"],
            "formal": ["chain"],
            "document_characters": 400,
        },
        "tokens": {
            "tokenizer": {"vocabulary": 300},
            "passages": {"window": 8, "test": 4, "validation": 2, "ladder": 2},
        },
        "lm": {
            "shapes": [{"name": "base", "layers": 1, "width": 16, "heads": 2, "intermediate": 24, "context": 64}],
            "models": [{"name": "D1", "pretrain": "D1"}],
            "warmup": {"schedule": SCHEDULE, "longest": 8},
            "pretraining": {"schedule": SCHEDULE, "row": 16},
        },
        "compressor": {"encoders": ["D1"], "decoders": ["D1"], "ratios": [4], "schedule": SCHEDULE},
        "analysis": {"claims": {"draws": 100, "min_passages": 20}},
    }
)
JOB = next(iter(PLAN.jobs))
ENCODER, DECODER = (model.name for model in (PLAN.jobs[JOB].encoder, PLAN.jobs[JOB].decoder))


def _pretraining(model: str) -> str:
    return f"lm train --start warmup --rows rows.safetensors --tokenizer words --checkpoints kept/{model}"


# Step by step: the command and what it writes; the spec comes from the plan.
STEPS = {
    "domain": ("corpus domain --output sums.parquet", PLAN.domain("sums"), ["sums.parquet"]),
    "tokenizer": (
        "tokens tokenizer --documents sums.parquet --output words",
        PLAN.study.tokens.tokenizer,
        ["words/tokenizer.json"],
    ),
    "encode": (
        "tokens encode --documents sums.parquet --tokenizer words --output sums.safetensors",
        None,
        ["sums.safetensors"],
    ),
    "passages": (
        "tokens passages --documents sums.parquet --tokenizer words --output passages.parquet"
        " --ladder-output ladder.parquet",
        PLAN.study.tokens.passages,
        ["passages.parquet", "ladder.parquet"],
    ),
    "mixture": (
        "tokens mixture --tokenizer words --arrays sums.safetensors --output rows.safetensors --manifest rows.json",
        PLAN.mixture("D1"),
        ["rows.safetensors", "rows.json"],
    ),
    "warmup": (
        "lm warmup --tokenizer words --checkpoints kept/warmup --output warmup --record warmup/record.json",
        PLAN.warmup("base"),
        ["warmup"],
    ),
    **{
        role: (f"{_pretraining(name)} --output {role} --record {role}/record.json", PLAN.pretrain(name), [role])
        for role, name in (("encoder", ENCODER), ("decoder", DECODER))
    },
    "compressor": (
        "compressor train --encoder encoder --decoder decoder --tokenizer words"
        f" --arrays{' sums.safetensors' * len(PLAN.compressor(JOB).domains)} --checkpoints kept/compressor"
        " --output compressor --record compressor/record.json",
        PLAN.compressor(JOB),
        ["compressor"],
    ),
    "score": (
        "entropy score --model encoder --tokenizer words --passages passages.parquet --output scores.parquet"
        " --tokens-output tokens.parquet",
        PLAN.score(ENCODER),
        ["scores.parquet", "tokens.parquet"],
    ),
    "reconstruct": (
        "reconstruction reconstruct --compressor compressor --encoder encoder --decoder decoder --tokenizer words"
        " --passages passages.parquet --output made.parquet --record made.json",
        PLAN.reconstruction(),
        ["made.parquet", "made.json"],
    ),
    "claims": (
        "analysis claims --observations observations.parquet --finding-c1 c1.json --finding-c2 c2.json"
        " --finding-c3 c3.json --table-c1 c1.csv --table-c2 c2.csv --table-c3 c3.csv --table-grid-effects grid.csv"
        " --table-by-bucket bucket.csv --specification none.csv",
        PLAN.study.analysis.claims,
        ["c1.json", "c2.json", "c3.json", "c1.csv", "c2.csv", "c3.csv", "grid.csv", "bucket.csv"],
    ),
    "figure": (
        "figures encoder-entropy --observations observations.parquet --finding c1.json --pdf c1.pdf --svg c1.svg"
        " --png c1.png --caption c1.rst",
        PLAN.claim_figure(),
        ["c1.pdf", "c1.svg", "c1.png", "c1.rst"],
    ),
    "effects": (
        "figures grid-effects --table grid.csv --pdf grid.pdf --svg grid.svg --png grid.png --caption grid.rst",
        PLAN.table_figure(),
        ["grid.pdf", "grid.svg", "grid.png", "grid.rst"],
    ),
}


def step(name: str) -> int:
    """Run a step in the current folder as the workflow does; its exit status."""
    command, spec, _ = STEPS[name]
    return main([*command.split(), *(["--spec", spec.line()] if spec is not None else [])])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    rows = observations(("D1", "D6"), ("prose", "code"), passages=30, ladder=4, ratios=(4,))
    write_table(folder / "observations.parquet", rows, OBSERVATIONS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in STEPS:
            assert step(name) == 0, name
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> Path:
    """A finished study to damage; the current folder."""
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    monkeypatch.chdir(folder)
    return folder


def the_line(capsys) -> str:
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    ours = [line for line in printed.splitlines() if line.startswith("contextpress: ")]
    assert len(ours) == 1, printed
    return ours[0]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def forget(folder: Path, name: str) -> None:
    """As Snakemake does before it runs a job."""
    for output in STEPS[name][2]:
        path = folder / output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def zeroed(whole: bytes) -> bytes:
    """A file whose blocks the disk never got."""
    return bytes(len(whole))


def flipped(whole: bytes) -> bytes:
    """One bit of the values: in the middle of a Parquet file, at the end of a safetensors file."""
    place = len(whole) // 3 if whole.startswith(b"PAR1") else len(whole) - 2
    return whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]


# What is damaged, what made it, what reads it.
FILES = [
    ("sums.parquet", "domain", "encode"),
    ("words/tokenizer.json", "tokenizer", "encode"),
    ("sums.safetensors", "encode", "mixture"),
    ("sums.safetensors", "encode", "compressor"),
    ("passages.parquet", "passages", "score"),
    ("rows.safetensors", "mixture", "encoder"),
    ("warmup/model.safetensors", "warmup", "encoder"),
    ("warmup/config.json", "warmup", "encoder"),
    ("encoder/model.safetensors", "encoder", "score"),
    ("encoder/model.safetensors", "encoder", "reconstruct"),
    ("compressor/compressor.safetensors", "compressor", "reconstruct"),
    ("compressor/compressor.json", "compressor", "reconstruct"),
    ("c1.json", "claims", "figure"),
    ("grid.csv", "claims", "effects"),
]
TEXT = (".json", ".csv")  # without a digest: they are read by people


@pytest.mark.parametrize("damage", [cut, emptied, zeroed, flipped], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(("name", "maker", "reader"), FILES, ids=lambda value: str(value))
def test_a_damaged_file_is_named_with_the_remedy(name, maker, reader, damage, study, capsys):
    if damage is flipped and name.endswith(TEXT):
        return
    (study / name).write_bytes(damage((study / name).read_bytes()))
    before = (study / name).read_bytes()
    forget(study, reader)
    there = files(study)
    capsys.readouterr()
    assert step(reader) == 2
    line = the_line(capsys)
    assert (str(Path(name).parent) if name in ("words/tokenizer.json", "warmup/config.json") else name) in line
    assert "delete it and run the same command again" in line
    assert "cannot be read as" in line
    assert files(study) == there
    assert (study / name).read_bytes() == before
    if damage is cut:  # as the line says; Snakemake makes what is missing, and goes on
        forget(study, maker)
        assert step(maker) == 0
        assert step(reader) == 0


def test_a_missing_file_is_named(study, capsys):
    for name, reader in (("passages.parquet", "score"), ("c1.json", "figure"), ("rows.safetensors", "encoder")):
        (study / name).unlink()
        capsys.readouterr()
        assert step(reader) == 2
        assert f"contextpress: {name} does not exist" in the_line(capsys)


# -- any byte


def changed(whole: bytes, every: int = 1) -> Iterator[bytes]:
    for place in range(0, len(whole), every):
        yield whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :]


def test_no_changed_byte_of_an_array_is_read_as_another_value(tmp_path):
    arrays = {"ids": np.arange(40, dtype=np.uint16), "offsets": np.array([0, 11, 40])}
    path = tmp_path / "x.safetensors"
    save_arrays(path, **arrays)
    refused = 0
    for bad in changed(path.read_bytes()):
        (tmp_path / "bad").write_bytes(bad)
        try:
            read = load_arrays(tmp_path / "bad")
        except UserError:
            refused += 1
        else:  # the change was in the digest's own name
            assert all((read[name] == array).all() for name, array in arrays.items())
    assert refused > 0.9 * len(bad)


def test_hardly_a_changed_byte_of_a_table_is_read_as_another_value(tmp_path):
    schema = pa.schema([required("name", pa.string()), required("n", pa.int32()), pa.field("x", pa.float64())])
    frame = pa.table({"name": [f"w{n % 7}" for n in range(60)], "n": range(60), "x": [n / 2 for n in range(60)]})
    frame = frame.to_pandas().astype({"n": "int32"})
    path = tmp_path / "x.parquet"
    write_table(path, frame, schema)
    otherwise = 0
    for bad in changed(path.read_bytes(), every=5):
        (tmp_path / "bad").write_bytes(bad)
        with suppress(UserError):
            otherwise += not read_table(tmp_path / "bad", schema).equals(frame)
    # The description at the end of the file has no checksum: a number of rows may change.
    assert otherwise <= 1


def test_a_sealed_file_is_read_by_others_and_sealing_is_repeatable(tmp_path):
    path = tmp_path / "x.safetensors"
    save_arrays(path, a=np.arange(3.0))
    assert load_file(path)["a"].tolist() == [0, 1, 2]
    once = path.read_bytes()
    assert (int.from_bytes(once[:8], "little") + 8) % seals.ALIGNMENT == 0
    save_arrays(path, a=np.arange(3.0))
    assert path.read_bytes() == once
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("read", [read_text, read_csv])
def test_text_that_is_cut_is_told(read, tmp_path):
    write_text(tmp_path / "x.csv", "a,b\n1,2\n1,22\n")
    read(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n1,2")
    with pytest.raises(UserError, match=r"x.csv cannot be read as text \(its last line is cut\); it is damaged"):
        read(tmp_path / "x.csv")


def test_a_file_that_may_not_be_read_is_not_called_damaged_for_it(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(UserError, match=r"x.json cannot be read as JSON \(Is a directory\)"):
        read_json(tmp_path / "x.json")


# -- checkpoints


def test_a_damaged_checkpoint_is_dropped_whatever_byte_it_is(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    module = torch.nn.Linear(2, 1)
    checkpoint = Checkpoint(tmp_path / "x", "same")
    checkpoint.save(module, [], torch.arange(3.0), 1.5)
    kept, losses = [p.tolist() for p in module.parameters()], torch.zeros(9)
    whole = checkpoint.path.read_bytes()
    # The state of torch's generator, most of the file, is bytes like any other.
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in [*range(header), *range(header, len(whole), 97)]:
        checkpoint.path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        step, seconds = checkpoint.restore(module, [], losses)
        if step:  # the change was in what no reader looks at
            assert (step, seconds) == (3, 1.5)
        assert [p.tolist() for p in module.parameters()] == kept
        assert "starts anew" in caplog.messages[-1] or step
    checkpoint.path.write_bytes(whole)
    assert checkpoint.restore(module, [], losses) == (3, 1.5)


class _Diverging(torch.nn.Linear):
    """A loss that is not finite from some step on."""

    def forward(self, step: int) -> torch.Tensor:
        return (self.weight.sum() ** 2) * (float("nan") if step >= 2 else 1)


class _Kinked(torch.nn.Linear):
    """A loss that is finite, but whose last slope is not."""

    def forward(self, step: int) -> torch.Tensor:
        return (self.weight.sum() * 0 if step == 3 else self.weight.sum()).abs().sqrt()


def test_a_loss_that_is_not_finite_tells_step_rate_and_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    monkeypatch.setattr("contextpress.runtime.checkpoint.LARGEST_SHARE", 1e9)
    checkpoint = Checkpoint(tmp_path / "x", "same")
    schedule = Schedule(steps=4, batch=1, learning_rate=0.25)
    with pytest.raises(UserError) as told_of:
        fit("trial", _Diverging(3, 3, bias=False), lambda step: (step,), schedule, 1, checkpoint)
    assert str(told_of.value) == (
        f"trial: the loss is not finite from step 2 on (the last good checkpoint is kept: {checkpoint.path}); lower "
        "learning_rate in its schedule, now 0.25, and run the same command again"
    )


def test_weights_that_are_not_finite_at_the_end_are_no_result():
    schedule = Schedule(steps=4, batch=1, learning_rate=0.01)
    with pytest.raises(UserError, match="trial: the weights are not finite from step 3 on; lower learning_rate"):
        fit("trial", _Kinked(3, 3, bias=False), lambda step: (step,), schedule, 1)


def test_a_lower_rate_starts_a_diverged_training_anew(study, capsys, caplog, monkeypatch):
    """The rate is part of the checkpoint's fingerprint."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    monkeypatch.setattr("contextpress.runtime.checkpoint.LARGEST_SHARE", 1e9)
    forget(study, "warmup")
    with monkeypatch.context() as patch:
        clip = torch.nn.utils.clip_grad_norm_
        calls = []

        def spoil(parameters, *rest, **options):
            calls.append(clip(parameters, *rest, **options))
            if len(calls) == 3:
                parameters[0].grad.fill_(float("nan"))

        patch.setattr(torch.nn.utils, "clip_grad_norm_", spoil)
        assert step("warmup") == 2
    line = the_line(capsys)
    assert "the loss is not finite from step 3 on" in line
    kept = study / "kept/warmup/checkpoint.safetensors"
    assert str(kept.relative_to(study)) in line
    assert not (study / "warmup").exists()
    command, spec, _ = STEPS["warmup"]
    schedule = spec.warmup.schedule.model_copy(update={"learning_rate": 0.005})
    lower = spec.model_copy(update={"warmup": spec.warmup.model_copy(update={"schedule": schedule})})
    assert main([*command.split(), "--spec", lower.line()]) == 0
    assert "of another spec, code or input; training starts anew" in caplog.text
    assert not kept.exists()


# -- disks


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
