"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contextpress.runtime.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        yield draft
        with draft.open("rb") as handle:
            os.fsync(handle.fileno())
        draft.chmod(0o666 & ~_umask())  # some writers make files that only their owner may read
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; move its files into ``folder`` one by one when the block ends without an error."""
    folder.mkdir(parents=True, exist_ok=True)
    drafts = _draft(folder / "files")
    drafts.mkdir()
    try:
        yield drafts
        for written in sorted(drafts.iterdir()):
            with replacing(folder / written.name) as draft:
                written.replace(draft)
    finally:
        shutil.rmtree(drafts)


def _draft(path: Path) -> Path:
    """A name beside ``path`` that no other process uses. What processes left there that were killed is removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        process = left.suffix[1:]
        if process.isdigit() and not runs(int(process)):
            _remove(left)
    return path.with_name(f".{path.name}.{os.getpid()}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def runs(process: int) -> bool:
    """Whether a process of that number is alive on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever json accepts
    """Write ``value`` as indented JSON; NaN and infinity are refused, since JSON has no word for them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Read one JSON value."""
    return json.loads(path.read_text(encoding="utf-8"))


def decoded(name: str | Path, data: bytes, offset: int = 0) -> str:
    """Bytes that begin at ``offset`` of the file or stream ``name``, as text.

    Raises:
        UserError: naming the first byte that is not text in UTF-8.
    """
    if b"\0" in data:
        raise UserError(f"{name} is binary (a zero byte at offset {offset + data.index(0)}); UTF-8 text is wanted")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {offset + error.start}"
        ) from None
    return text.removeprefix("\ufeff") if not offset else text


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
