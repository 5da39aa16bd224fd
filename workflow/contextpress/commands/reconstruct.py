"""``contextpress reconstruct``: what the decoder writes of the texts of a memory file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contextpress.runtime.errors import UserError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("memory", nargs="?", type=Path, metavar="MEMORY", help="file; none: standard input")
    parser.add_argument(
        "--compressor", type=Path, metavar="FOLDER", help="that made it; by default where it was at that time"
    )


def run(chosen: argparse.Namespace) -> None:
    """Write the texts to standard output; above each, if there are several, a line with its name.

    Raises:
        UserError: if the file is no memory file, or its compressor is not to be found.
    """
    from contextpress.commands.loading import load
    from contextpress.reuse.memory import Memory

    if chosen.memory is None:
        memory = Memory.from_bytes(sys.stdin.buffer.read(), "standard input")
    else:
        memory = Memory.load(chosen.memory)
    folder = chosen.compressor or Path(memory.compressor.folder)
    if chosen.compressor is None and not folder.is_dir():
        raise UserError(f"the compressor of this memory is no longer at {folder}; say where with --compressor")
    texts = load(folder).reconstruct(memory)
    named = [f"==> {name} <==\n{text}\n" for name, text in zip(memory.names, texts, strict=True)]
    sys.stdout.buffer.write("".join(named if len(texts) > 1 else texts).encode())
