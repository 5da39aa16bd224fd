"""``contextpress tensorboard``: the losses of a study's trainings as files for TensorBoard, which is not needed here.

An event file is a row of records: the length of an event in eight bytes, its checksum, the event, its checksum. An
event is a message of protocol buffers (event.proto of TensorBoard): when, which step, and a name with a number.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from contextpress.commands.studies import RESULTS, no_such_study
from contextpress.runtime.files import replacing
from contextpress.runtime.history import HISTORY
from contextpress.runtime.progress import Progress
from contextpress.runtime.tables import read_table

NAME = "events.out.tfevents.contextpress"  # TensorBoard reads files by the middle of the name


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("study", help="a study, by name in results/ or by folder")
    parser.add_argument("folder", type=Path, help="where to write; then: tensorboard --logdir FOLDER")


def run(chosen: argparse.Namespace) -> None:
    """Write one event file for each training that is over or at work.

    Raises:
        UserError: if there is no such study, or a file cannot be written.
    """
    count = 0
    for part, at, points in _trainings(_study(chosen.study)):
        with replacing(chosen.folder / part / NAME) as draft:
            draft.write_bytes(
                record(event(at, b"\x1a" + sized(b"brain.Event:2")))
                + b"".join(record(event(at, scalar(name, value), step)) for name, step, value in points)
            )
        count += 1
    sys.stdout.write(f"{count} trainings: tensorboard --logdir {chosen.folder}\n")


def _study(told: str) -> Path:
    for place in (RESULTS / told, Path(told)):
        if (place / "logs").is_dir():
            return place
    raise no_such_study(told)


def _trainings(study: Path) -> Iterator[tuple[str, float, list[tuple[str, int, float]]]]:
    """Part of the study, such as lm/D1-s0, when it last said something, and its points: name, step, value.

    Of a training that is over the losses of all steps are known, of another what it has printed.
    """
    for log in sorted(study.glob("logs/**/*.log")):
        said = Progress.all(log.read_text(encoding="utf-8", errors="replace"))
        if not said:
            continue
        part = log.relative_to(study / "logs").with_suffix("").as_posix()
        history = study / part / "history.parquet"
        losses = [(told.done - 1, told.loss) for told in said]
        if history.is_file():
            rows = read_table(history, HISTORY)
            losses = list(zip(rows["step"].tolist(), rows["loss"].tolist(), strict=True))
        points = [("loss", step, loss) for step, loss in losses]
        points += [("tokens per second", told.done - 1, told.speed) for told in said]
        yield part, log.stat().st_mtime, points


# -- the format


def record(data: bytes) -> bytes:
    """An event as it lies in the file."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def event(at: float, what: bytes, step: int = 0) -> bytes:
    """A moment in seconds since 1970, a step, and what there is to tell."""
    return b"\x09" + struct.pack("<d", at) + b"\x10" + varint(step) + what


def scalar(name: str, value: float) -> bytes:
    """A number with its name, as part of an event."""
    return b"\x2a" + sized(b"\x0a" + sized(b"\x0a" + sized(name.encode()) + b"\x15" + struct.pack("<f", value)))


def sized(data: bytes) -> bytes:
    """Bytes after their number."""
    return varint(len(data)) + data


def varint(number: int) -> bytes:
    """A whole number from 0 on, seven bits a byte, the lowest first."""
    *more, last = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([*(byte | 0x80 for byte in more), last])


def _table() -> Iterator[int]:
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        yield number


_TABLE = tuple(_table())


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum (RFC 3720, B.4), which zlib does not have."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest = _TABLE[(rest ^ byte) & 0xFF] ^ rest >> 8
    return rest ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    # Turned and shifted, so that a checksum of data with checksums in it stays one.
    found = crc32c(data)
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)
