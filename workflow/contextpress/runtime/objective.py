"""What a training minimises, and how one process computes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contextpress.runtime.checkpoint import Checkpoint

Inputs = tuple[Tensor | int, ...]


class Objective(nn.Module):
    """A loss as a module. Its inputs are tensors with one row per text, [rows, ...], and numbers that all rows share.

    ``forward`` gives the mean over all labelled tokens of the rows, in nats.
    """

    def labelled(self, *inputs: Tensor | int) -> int:
        """How many labelled tokens the inputs of ``forward`` hold."""
        raise NotImplementedError


class Alone:
    """Training by one process.

    Attributes:
        trained: the module whose parameters are trained.
        main: whether this process is the one that speaks and writes.
    """

    trained: nn.Module
    main = True

    def __init__(self, objective: nn.Module, device: torch.device) -> None:
        """``device`` is where the objective's parameters are."""
        self.trained, self._device = objective, device

    def loss(self, inputs: Inputs) -> Tensor:
        """What to go backward from."""
        loss: Tensor = self.trained(*self._here(inputs))
        return loss

    def shown(self, loss: Tensor) -> Tensor:
        """The mean over the whole batch, for the history."""
        return loss.detach()

    def due(self, checkpoint: Checkpoint) -> bool:
        """Whether to save after this step."""
        return checkpoint.due()

    def finish(self) -> None:
        """Leave the trained weights in the objective."""

    def _here(self, inputs: Inputs) -> Inputs:
        return tuple(part.to(self._device) if isinstance(part, Tensor) else part for part in inputs)
