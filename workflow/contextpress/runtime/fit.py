"""The one training loop: language models and compressors are both trained by it."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from contextpress.runtime.checkpoint import Checkpoint
from contextpress.runtime.device import mixed_precision, precision
from contextpress.runtime.errors import UserError
from contextpress.runtime.history import History
from contextpress.runtime.objective import Alone, Inputs
from contextpress.runtime.optimisers import muon_and_adamw
from contextpress.runtime.processes import Team
from contextpress.runtime.progress import Progress
from contextpress.runtime.schedule import Schedule

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0
# Short trainings are still far from done when they end. In a trial (one compressor, 160 steps, ratio 4) held-out prose
# came to a token accuracy of 0.562, 0.596 with a last rate of 0.01, 0.1 of the peak; and at another momentum to 0.623,
# 0.647, 0.655 with 0.1, 0.25, 0.5.
LAST_RATE = 0.3


def fit(
    name: str,
    objective: nn.Module,
    inputs_of: Callable[[int], Inputs],
    schedule: Schedule,
    tokens: int,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Minimise ``objective(*inputs_of(step))`` over the parameters of ``objective`` that require a gradient.

    ``tokens`` is how many go through the model in all steps together, for the speed that is shown. With a
    ``checkpoint`` the training goes on where an earlier one of the same identity was stopped; ``inputs_of`` then has to
    depend on the step alone. With several processes each calls this, and computes its share of the rows of a step; the
    objective then is an ``Objective``.

    Losses stay on the device and are read once every few seconds, when a line is printed: reading one at each step
    would make the processor wait for the accelerator.

    Raises:
        UserError: if the loss stops being finite, or the weights do at the last step; names the step. The last
            checkpoint before it is kept.
    """
    device = next(objective.parameters()).device
    several = schedule.processes > 1
    work = Team(objective, device, schedule.sharding, precision(device)) if several else Alone(objective, device)
    module = work.trained
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimisers = muon_and_adamw(module, schedule.learning_rate, schedule.weight_decay)
    losses = torch.zeros(schedule.steps, device=device)
    done, seconds = checkpoint.restore(module, optimisers, losses) if checkpoint else (0, 0.0)
    shown = time.perf_counter()
    started = shown - seconds
    with checkpoint.listening() if checkpoint else nullcontext():
        for step in range(done, schedule.steps):
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = schedule.learning_rate * rate_at(step, schedule)
            with mixed_precision(device):
                loss = work.loss(inputs_of(step))
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
            losses[step] = work.shown(loss)
            now = time.perf_counter()
            if now - shown > SECONDS_BETWEEN_LINES or step + 1 == schedule.steps:
                _refuse_infinite(name, losses[: step + 1], schedule, checkpoint)
                if work.main:
                    _show(name, losses[: step + 1], schedule.steps, tokens, now - started)
                shown = now
            if checkpoint and work.due(checkpoint):
                _refuse_infinite(name, losses[: step + 1], schedule, checkpoint)
                checkpoint.save(module, optimisers, losses[: step + 1], now - started)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
        raise _diverged(name, "weights are", schedule.steps - 1, schedule, checkpoint)
    work.finish()
    return History(losses.tolist(), time.perf_counter() - started, tokens)


def rate_at(step: int, schedule: Schedule) -> float:
    """Learning rate at ``step`` as a share of its peak: linear rise, then a cosine down to ``LAST_RATE``."""
    rise = max(1, round(schedule.rise * schedule.steps))
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, schedule.steps - rise)
    return LAST_RATE + (1 - LAST_RATE) / 2 * (1 + math.cos(math.pi * done))


def _refuse_infinite(name: str, losses: Tensor, schedule: Schedule, checkpoint: Checkpoint | None) -> None:
    wrong = torch.nonzero(~torch.isfinite(losses))
    if len(wrong):
        raise _diverged(name, "loss is", int(wrong[0]), schedule, checkpoint)


def _diverged(what: str, which: str, step: int, schedule: Schedule, checkpoint: Checkpoint | None) -> UserError:
    kept = f" (the last good checkpoint is kept: {checkpoint.path})" if checkpoint and checkpoint.path.exists() else ""
    return UserError(
        f"{what}: the {which} not finite from step {step} on{kept}; lower learning_rate in its schedule, now "
        f"{schedule.learning_rate:g}, and run the same command again"
    )


def _show(name: str, losses: Tensor, steps: int, tokens: int, seconds: float) -> None:
    done = len(losses)
    recent, left = losses[-20:].mean().item(), seconds / done * (steps - done)
    line = Progress(name, done, steps, recent, tokens * done / steps / seconds, left).line()
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line} " + ("\n" if done == steps else ""))
    else:
        log.info("%s", line)
