"""Event files: the bytes that TensorBoard itself writes, and a study's losses in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextpress.cli import main
from contextpress.commands.tensorboard import NAME, crc32c, event, record, scalar, varint
from contextpress.runtime.history import HISTORY
from contextpress.runtime.progress import Progress
from contextpress.runtime.tables import write_table


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A study with a training that is over and one that is at work."""
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "results/tried"
    for part, done in (("lm/D1-s0", (3, 4)), ("compressors/D1-D1", (100, 200, 300))):
        (study / "logs" / part).parent.mkdir(parents=True)
        lines = [Progress(Path(part).name, one, 400, one / 8, one * 10, 90.0).line() + "\n" for one in done]
        (study / "logs" / f"{part}.log").write_text("Loading weights\n" + "".join(lines))
    (study / "logs/tables.log").write_text("nothing of the kind\n")
    losses = pd.DataFrame({"step": np.arange(4, dtype=np.int32), "loss": [5.5, 4.25, 3.0, 2.5]})
    write_table(study / "lm/D1-s0/history.parquet", losses, HISTORY)
    return tmp_path


def test_losses_and_speeds_come_out_of_the_files(project, capsys):
    assert main(["tensorboard", "tried", "board"]) == 0
    assert capsys.readouterr().out == "2 trainings: tensorboard --logdir board\n"
    assert main(["tensorboard", str(project / "results/tried"), "again"]) == 0
    for part, losses, speeds in (
        # Of a training that is over every step, of another what it has printed.
        ("lm/D1-s0", [(0, 5.5), (1, 4.25), (2, 3.0), (3, 2.5)], [(2, 30.0), (3, 40.0)]),
        ("compressors/D1-D1", [(99, 12.5), (199, 25.0), (299, 37.5)], [(99, 1000.0), (199, 2000.0), (299, 3000.0)]),
    ):
        head, *events = read((project / "board" / part / NAME).read_bytes())
        assert head == {1: (project / f"results/tried/logs/{part}.log").stat().st_mtime, 2: 0, 3: b"brain.Event:2"}
        found = [told(one) for one in events]
        assert found == [("loss", *one) for one in losses] + [("tokens per second", *one) for one in speeds]
        assert (project / "again" / part / NAME).read_bytes() == (project / "board" / part / NAME).read_bytes()
    assert len(list((project / "board").rglob("*tfevents*"))) == 2


def test_a_study_that_is_not_there_is_told(project, capsys):
    assert main(["tensorboard", "other", "board"]) == 2
    assert "there is no study other; studies in" in capsys.readouterr().err


def test_a_record_has_the_bytes_that_tensorboard_writes():
    # By RecordWriter and event_pb2 of TensorBoard 2.21.
    wanted = "1b000000000000001a0d9e130900002040fc54d94110ac022a0d0a0b0a046c6f7373150000204094a324bf"
    assert record(event(1700000000.5, scalar("loss", 2.5), 300)).hex() == wanted


def test_the_checksum_is_castagnolis():
    # RFC 3720, B.4, and the check value of every catalogue of checksums.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers_come_back(number):
    assert whole(varint(number), 0) == (number, len(varint(number)))
    assert len(varint(number)) == max(1, -(-number.bit_length() // 7))


# -- a reader of its own


def read(data: bytes) -> Iterator[dict[int, object]]:
    """The events of a file, by number of field; with their checksums looked at."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        (of_size,), (of_event,) = struct.unpack_from("<I", data, at + 8), struct.unpack_from("<I", data, at + 12 + size)
        own = data[at + 12 : at + 12 + size]
        for found, part in ((of_size, data[at : at + 8]), (of_event, own)):
            turned = (found - 0xA282EAD8) % 2**32
            assert (turned << 15 | turned >> 17) % 2**32 == crc32c(part)
        yield fields(own)
        at += 16 + size


def fields(data: bytes) -> dict[int, object]:
    """A message of protocol buffers: fixed numbers of 8 and 4 bytes, whole numbers, and bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = whole(data, at)
        kind, size = key & 7, {1: 8, 5: 4}.get(key & 7, 0)
        if kind == 0:
            found[key >> 3], at = whole(data, at)
            continue
        if kind == 2:
            size, at = whole(data, at)
        part = data[at : at + size]
        found[key >> 3] = part if kind == 2 else struct.unpack("<d" if kind == 1 else "<f", part)[0]
        at += size
    return found


def whole(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, and where the next field begins."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at


def told(event: dict[int, object]) -> tuple[str, int, float]:
    """Name, step and value of an event."""
    value = fields(fields(event[5])[1])
    return value[1].decode(), event[2], value[2]
