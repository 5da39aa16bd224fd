"""A compressor for a command: on the device there is, without the bars that transformers draws."""

from __future__ import annotations

from pathlib import Path

from transformers.utils import logging

from contextpress.reuse.compressor import Compressor
from contextpress.runtime.device import prepare


def load(folder: Path) -> Compressor:
    """Load the compressor of ``folder``.

    Raises:
        UserError: see ``Compressor.from_pretrained``.
    """
    logging.disable_progress_bar()
    return Compressor.from_pretrained(folder, prepare(0))
