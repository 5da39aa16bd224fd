"""Damage to a study's files: one clear line, nothing half written, and on after repair."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file

from contextpress.cli import main
from contextpress.runtime import seals
from contextpress.runtime.checkpoint import SECONDS_VARIABLE, Checkpoint
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, read_text, write_text
from contextpress.runtime.fit import fit
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.tables import read_csv, read_table, required, write_table
from contextpress.tokens.arrays import load_arrays, save_arrays
from tests.unit.small_study import STEPS, files, forget, step, the_line


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
