"""Safetensors files that hold a digest of all else in them: the format has none, and a changed weight is a number too.

    8 bytes | header: JSON of tensors and __metadata__ | values
    length of the header        the digest is in here

Other programs pass the digest by, and what they wrote is read without one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from io import BufferedReader
from pathlib import Path
from typing import Any

METADATA, SEAL = "__metadata__", "sha256"
ALIGNMENT = 8  # bytes; values start at a multiple of it


def seal(path: Path) -> None:
    """Add to a safetensors file the digest of all else in it."""
    sealed = path.with_name(f"{path.name}.sealed")
    try:
        with path.open("rb") as plain, sealed.open("wb") as out:
            header = header_of(plain)
            start = plain.tell()
            header[METADATA] = header.get(METADATA, {}) | {SEAL: _digest(header, plain)}
            text = _line(header)
            text += b" " * (-len(text) % ALIGNMENT)
            out.write(len(text).to_bytes(8, "little") + text)
            plain.seek(start)
            shutil.copyfileobj(plain, out)
        sealed.replace(path)
    finally:
        sealed.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Refuse a file that is not as it was sealed.

    Raises:
        ValueError: if so, or if it is no safetensors file.
    """
    with path.open("rb") as handle:
        header = header_of(handle)
        found = header.get(METADATA, {}).pop(SEAL, None)
        if found is not None and found != _digest(header, handle):
            raise ValueError("its bytes are not those that were written")


def header_of(handle: BufferedReader) -> dict[str, Any]:
    """The header of a safetensors file; reading goes on with the values.

    Raises:
        ValueError: if it is cut, or is none.
    """
    length = int.from_bytes(handle.read(8), "little")
    if length > os.fstat(handle.fileno()).st_size:  # else a damaged length would ask for all memory there is
        raise ValueError("its header is cut")
    header = json.loads(handle.read(length))
    if not isinstance(header, dict):
        raise ValueError("no safetensors header")
    return header


def _digest(header: dict[str, Any], values: BufferedReader) -> str:
    """Of a header without a digest, and of what is left to read."""
    bare = header if header.get(METADATA) else {name: entry for name, entry in header.items() if name != METADATA}
    started = hashlib.sha256(_line(bare))
    return hashlib.file_digest(values, lambda: started).hexdigest()


def _line(header: dict[str, Any]) -> bytes:
    return json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
