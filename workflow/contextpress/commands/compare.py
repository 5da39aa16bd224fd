"""``contextpress compare``: two studies side by side, in a page and in a few lines; from files alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contextpress.commands.studies import RESULTS, no_such_study
from contextpress.report.bundles import unpacked
from contextpress.report.comparison_page import compare, lines, page
from contextpress.report.stored import Stored, load, wanted
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import write_text


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    for name in ("A", "B"):
        parser.add_argument(name, help="a study: its name in results/, its folder, or its bundle")
    parser.add_argument(
        "--output", type=Path, default=Path("compare.html"), metavar="PAGE", help="file to write (compare.html)"
    )


def run(chosen: argparse.Namespace) -> None:
    """Write the page, and the short table to standard output.

    Raises:
        UserError: if there is no such study, it is not finished, or a file is no bundle.
    """
    found = compare(_load(chosen.A), _load(chosen.B))
    write_text(chosen.output, page(found))
    sys.stdout.write("\n".join([*lines(found), "", f"figures and all else: {chosen.output}"]) + "\n")


def _load(told: str) -> Stored:
    with _folder(told) as folder:
        try:
            return load(folder, told)
        except UserError as error:
            # A bundle's files were read in a folder that is gone.
            raise UserError(str(error).replace(str(folder), told)) from None


@contextmanager
def _folder(told: str) -> Iterator[Path]:
    for place in (RESULTS / told, Path(told)):
        if place.is_dir():
            yield place
            return
    if not Path(told).is_file():
        raise no_such_study(told)
    with unpacked(Path(told), wanted) as folder:
        yield folder
