"""``contextpress compress``: text from files or standard input into a memory file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contextpress.commands.texts import STANDARD_INPUT, text_of, text_of_input
from contextpress.runtime.errors import UserError


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
    texts = {str(path): text_of(path) for path in chosen.files} or {STANDARD_INPUT: text_of_input()}
    # Only now: mistakes in the texts are told before torch is imported.
    from contextpress.commands.loading import load

    memory = load(chosen.compressor).compress(list(texts.values()), list(texts))
    if chosen.output is None:
        sys.stdout.buffer.write(memory.to_bytes())
    else:
        memory.save(chosen.output)
