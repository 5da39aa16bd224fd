"""Several processes that train one model together, each on its share of the rows of every step.

Draws follow from a seed and the step, so every process draws the whole batch and keeps each n-th row of it: the shares
together are the very batch of one process. A share's mean loss counts by its share of the labelled tokens, so that the
gradient is that of the mean over the batch, however the labels fall.

accelerate starts the processes, lets them meet, and wraps the model for DDP, where each process holds all of it. For
FSDP, where weights, gradients and the optimisers' memory are divided, torch's ``fully_shard`` is called directly:
accelerate 1.15 trains by DDP instead, without a word, where the processes have no accelerator, and so could not be
tested there.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from contextpress.runtime.accelerators import hold, visible
from contextpress.runtime.errors import UserError

PATIENCE = timedelta(days=30)  # for a device or a folder that another job holds; a process that dies ends the others


@cache
def join(count: int) -> torch.device:
    """Meet the other processes of this training; the device of this one, held for it alone.

    Raises:
        UserError: if this process is not one of ``count`` started together, or there are fewer accelerators.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise UserError(
            f"this training is for {count} processes (key processes of its schedule), and {started} started; start it "
            f"with accelerate launch --num_processes {count}, as the workflow does"
        )
    rank = int(os.environ["RANK"])
    if rank:
        logging.getLogger("contextpress").setLevel(logging.WARNING)
    names = visible()
    if names:
        # Before CUDA is asked anything: it looks at this once.
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(shared_out(names, count, rank))
    state = PartialState(cpu=not names, timeout=PATIENCE)
    return state.device if names else torch.device("cpu")


def shared_out(names: list[str], count: int, rank: int) -> list[str]:
    """The devices of all processes, in their order: the first process takes them at once and tells the others.

    It holds them all until it ends. If each took its own, two trainings could wait for each other's devices for ever.
    """
    store, _, _ = next(rendezvous("env://"))
    store.set_timeout(PATIENCE)
    if rank == 0:
        store.set("contextpress/devices", json.dumps([names[place] for place in hold(names, count)]))
    found: list[str] = json.loads(store.get("contextpress/devices"))
    return found


def is_main() -> bool:
    """Whether this process is alone, or the one of several that speaks and writes."""
    return not _together() or dist.get_rank() == 0


def wait() -> None:
    """Wait until all processes of this training have come here."""
    if _together():
        dist.barrier(group=_talk())


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


@cache
def _talk() -> dist.ProcessGroup:
    """Lets processes talk without a device, so that none has to wait for its own."""
    return dist.new_group(backend="gloo", timeout=PATIENCE)


class Team:
    """Training by several processes; the other side of ``Alone``."""

    trained: nn.Module

    def __init__(self, objective: nn.Module, device: torch.device, sharding: str, precision: str) -> None:
        """``sharding``: see ``Schedule``; ``precision``: accelerate's name of it."""
        # Read-out kv_prefix has no use for the end of the encoder's last layer.
        options = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=[options])
        self._objective, self._device, self._sharding = objective, device, sharding
        self._count, self._index = self._accelerator.num_processes, self._accelerator.process_index
        self.main = self._accelerator.is_main_process
        if sharding == "full":
            self.trained = self._computed = _sharded(copy.deepcopy(objective), device, self._count)
            objective.cpu()
        else:
            self.trained, self._computed = objective, self._accelerator.prepare(objective)

    def loss(self, inputs: tuple[Tensor | int, ...]) -> Tensor:
        """What to go backward from: gradients of all processes are averaged, hence the factor of their number."""
        share = tuple(part[self._index :: self._count] if isinstance(part, Tensor) else part for part in inputs)
        labelled: Any = self._objective.labelled
        weight = labelled(*share) / labelled(*inputs)
        here = (part.to(self._device) if isinstance(part, Tensor) else part for part in share)
        loss: Tensor = self._computed(*here) * (weight * self._count)
        return loss

    def shown(self, loss: Tensor) -> Tensor:
        """The mean over the whole batch, for the history."""
        total: Tensor = self._accelerator.reduce(loss.detach(), "mean")
        return total

    def due(self, checkpoint: Any) -> bool:  # noqa: ANN401
        """Whether to save after this step: all do if one must, and all end if one was asked to."""
        told = torch.tensor([int(checkpoint.due()), checkpoint.stopped_by])
        dist.all_reduce(told, dist.ReduceOp.MAX, group=_talk())
        checkpoint.stopped_by = int(told[1])
        return bool(told[0])

    def finish(self) -> None:
        """Leave the trained weights in the objective, on every process."""
        if self._sharding == "full":
            with torch.no_grad():
                for old, new in zip(self._objective.parameters(), self.trained.parameters(), strict=True):
                    if new.requires_grad:
                        old.copy_(whole(new))


def _sharded(module: nn.Module, device: torch.device, count: int) -> nn.Module:
    """Divide every block of the language models in ``module`` among the processes, and then what is left of it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (count,))
    blocks = {name for part in module.modules() for name in getattr(part, "_no_split_modules", None) or ()}
    for part in list(module.modules()):
        if type(part).__name__ in blocks:
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def whole(tensor: Tensor) -> Tensor:
    """A tensor that is divided among processes, put together on each of them; another one as it is."""
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full


def cut_like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """``tensor``, which every process has as a whole, divided as ``pattern`` is."""
    if not hasattr(pattern, "full_tensor"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(pattern, DTensor)
    return distribute_tensor(tensor, pattern.device_mesh, pattern.placements, src_data_rank=None)
