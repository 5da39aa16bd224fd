"""``contextpress compress``: text from files or standard input into a memory file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import decoded

STANDARD_INPUT = "standard input"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="texts in UTF-8; none: standard input")
    parser.add_argument("--compressor", required=True, type=Path, metavar="FOLDER", help="of a trained compressor")
    parser.add_argument("--output", type=Path, metavar="MEMORY", help="file to write; by default standard output")


def run(chosen: argparse.Namespace) -> None:
    """Write the memory of all texts, one tensor for each.

    Raises:
        UserError: if a file is missing, empty or not text, or the folder holds no compressor.
    """
    if chosen.output is None and sys.stdout.isatty():
        raise UserError("a memory file is no text for a terminal; name it with --output, or send it on with > or |")
    texts = {str(path): _text(str(path), _bytes(path)) for path in chosen.files}
    if not texts:
        texts = {STANDARD_INPUT: _text(STANDARD_INPUT, sys.stdin.buffer.read())}
    # Only now: mistakes in the texts are told before torch is imported.
    from contextpress.commands.loading import load

    memory = load(chosen.compressor).compress(list(texts.values()), list(texts))
    if chosen.output is None:
        sys.stdout.buffer.write(memory.to_bytes())
    else:
        memory.save(chosen.output)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _text(name: str, data: bytes) -> str:
    if not data.strip():
        raise UserError(f"{name} is empty")
    return decoded(name, data)
