"""Where and in what precision a job computes."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache

import torch
from accelerate import Accelerator

from contextpress.runtime.accelerators import hold, visible
from contextpress.runtime.processes import join


def prepare(seed: int, processes: int = 1) -> torch.device:
    """Seed torch, set its threads to what the workflow granted (``OMP_NUM_THREADS``), and choose the device.

    An accelerator is this process's own until it ends; with all of them taken by other jobs this call waits. Of a
    training by several ``processes`` each calls this, and each has a device.

    Raises:
        UserError: if there are not as many processes, or fewer accelerators than processes.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every new tensor is first filled with NaN. A read of what was never written would be a defect anyhow.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return own_device() if processes == 1 else join(processes)


@cache
def own_device() -> torch.device:
    """The first free accelerator, held for this process alone from now on; the processor if there is none."""
    names = visible()
    if not names:
        return torch.device("cpu")
    device = torch.device("cuda", hold(names)[0])
    torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """For the run record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 in hardware; where it must emulate, float32 is faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision(device: torch.device) -> str:
    """How matrix products run in a training, by accelerate's name: bf16 where the device computes it, else no."""
    return "bf16" if has_bf16(device) else "no"


def mixed_precision(device: torch.device) -> AbstractContextManager[None]:
    """Context in which matrix products run as ``precision`` says, on float32 master weights."""
    context: AbstractContextManager[None] = _accelerator(device).autocast()
    return context


@cache
def _accelerator(device: torch.device) -> Accelerator:
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision(device))


def attention_kernel(device: torch.device) -> str:
    """Transformers' name of the attention implementation to use.

    On CPU the plain one: at windows of 100 tokens the backward pass of torch's fused CPU kernel took 30 % of a
    training step, plain matrix products 6 %.
    """
    return "sdpa" if device.type == "cuda" else "eager"


def rows_at_once(device: torch.device, positions: int) -> int:
    """Rows to compute in one pass without training, ``positions`` each: on CPU as many as its caches hold.

    On one CPU thread a pass over 240 rows of 49 positions (4 layers, width 192) took 90 us per position, over 16 to 64
    rows 64 us.
    """
    return max(1, {"cpu": 3072}.get(device.type, 65536) // positions)
