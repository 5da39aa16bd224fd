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

from contextpress.runtime.errors import UserError, out_of_memory, refusal


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block ends without an error.

    Raises:
        UserError: if the disk is full, or the file cannot be written for another reason of the operating system.
    """
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path)
        try:
            yield draft
            with draft.open("rb") as handle:
                os.fsync(handle.fileno())
            draft.chmod(0o666 & ~umask())  # some writers make files that only their owner may read
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; move its files into ``folder`` one by one when the block ends without an error.

    Raises:
        UserError: see ``replacing``.
    """
    with _writing(folder):
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


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each library has errors of its own for a disk that is full
        why = refusal(error)
        # A file that is missing was not made, which is a defect and no refusal.
        if why is None or isinstance(error, FileNotFoundError):
            raise
        raise UserError(f"{path} cannot be written: {why}") from None


@contextmanager
def reading(path: Path, kind: str = "file") -> Iterator[None]:
    """Tell in one line, and with the remedy, of a file of the study that cannot be read.

    Only for files that the study made: it makes them anew.

    Args:
        path: of the file.
        kind: what its content should be, as in "Parquet".

    Raises:
        UserError: if the block raises an error, other than one of too little memory.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the workflow, which makes it") from None
    except Exception as error:  # damaged bytes make a parser raise anything
        if out_of_memory(error):
            raise
        cause = refusal(error) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} cannot be read as {kind} ({cause}); it is damaged: delete it and run the same command again, "
            "which makes it anew"
        ) from None


def _draft(path: Path) -> Path:
    """A name beside ``path`` that no other process uses. What processes left there that were killed is removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        process = left.suffix[1:]
        if process.isdigit() and not runs(int(process)):
            remove(left)
    return path.with_name(f".{path.name}.{os.getpid()}")


def remove(path: Path) -> None:
    """Delete a file, or a folder as far as that is possible; there may be neither."""
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


def umask() -> int:
    """Which permissions the files that this process makes do not get."""
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
    """Read one JSON value.

    Raises:
        UserError: see ``reading``.
    """
    with reading(path, "JSON"):
        return json.loads(path.read_text(encoding="utf-8"))


def read_text(path: Path) -> str:
    """Read what ``write_text`` wrote of whole lines.

    Raises:
        UserError: see ``reading``; also if the last line has no end, as in a file that was cut short.
    """
    with reading(path, "text"):
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its last line is cut")
        return text


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
