"""One job per accelerator: whoever computes on a device holds its lock file.

Snakemake's ``resources: gpu=1`` counts jobs and assigns no device. Here a job takes the first free device through
``flock``, which ends with the process that holds it, however that ends. The files lie in a folder of the user under
the system's temporary folder; other users' jobs are not seen.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from contextpress.runtime.errors import UserError

log = logging.getLogger(__name__)
QUEUE = "queue"
SECONDS_BETWEEN_LOOKS = 0.5
_held: list[IO[str]] = []  # a lock ends when its file is closed


def visible() -> list[str]:
    """What names each device that CUDA_VISIBLE_DEVICES allows, in CUDA's order: its UUID, or without NVML its number.

    No device is touched: NVML is asked, not CUDA.
    """
    import torch  # only now: who takes a lock needs none of it

    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # NVML's order; CUDA's own would name others
    count = torch.cuda.device_count()
    if not count:
        return []
    try:
        uuids = torch.cuda._raw_device_uuid_nvml() or []
    except OSError:
        uuids = []
    return [_name(given, uuids) for given in torch.cuda._parse_visible_devices()[:count]]


def _name(given: int | str, uuids: list[str]) -> str:
    """The UUID of a device that is given by its number, or by the beginning of its UUID."""
    if isinstance(given, int):
        return uuids[given] if given < len(uuids) else str(given)
    return next((uuid for uuid in uuids if uuid.startswith(given)), given)


def hold(devices: Sequence[str], count: int = 1) -> list[int]:
    """Take ``count`` of ``devices`` until this process ends; wait, and say so once, until so many are free.

    Who waits stands in a queue, and only the first in it takes devices. So a job that wants several keeps those that
    it has while it waits for the rest: it is neither overtaken by small jobs, nor do two such jobs block each other.

    Args:
        devices: what names each device on this machine, the same for every job (a UUID).
        count: how many to take.

    Returns:
        The places in ``devices`` of those taken, ascending.

    Raises:
        UserError: if there are fewer devices, or the lock files cannot be written.
    """
    if count > len(devices):
        raise UserError(
            f"{count} accelerators are wanted (one per process of a training), but this job sees {len(devices)}; see "
            "CUDA_VISIBLE_DEVICES"
        )
    folder = Path(tempfile.gettempdir()) / f"contextpress-{os.getuid()}"
    taken: dict[int, IO[str]] = {}
    told = False
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / QUEUE).open("a") as queue:
            if not _locked(queue):
                time.sleep(SECONDS_BETWEEN_LOOKS)  # who finds a free device has left the queue by then
                if not _locked(queue):
                    told = _tell(len(devices))
                    fcntl.flock(queue, fcntl.LOCK_EX)
            while True:
                for place, name in enumerate(devices):
                    if place not in taken and len(taken) < count:
                        file = (folder / quote(name, safe="")).open("a")
                        if _locked(file):
                            taken[place] = file
                        else:
                            file.close()
                if len(taken) == count:
                    _held.extend(taken.values())
                    return sorted(taken)
                told = told or _tell(len(devices))
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except OSError as error:
        raise UserError(f"lock files of accelerators cannot be written in {folder}: {error.strerror}") from None


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tell(devices: int) -> bool:
    log.info("other jobs hold the accelerators of this machine (%d visible); waiting until enough are free", devices)
    return True
