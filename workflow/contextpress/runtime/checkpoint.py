"""Where a training stands, kept beside its outputs, so that one that was killed goes on and ends with the same bytes.

A folder holds one file, replaced as a whole: trained weights, what the optimisers remember, losses and torch's
random state as safetensors, the rest as JSON in its header. The order of the data is not in it: every draw follows
from a seed and the step (see sampling.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from contextpress.runtime.closure import ROOT, closure
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import replacing, sha256
from contextpress.runtime.processes import cut_like, is_main, wait, whole
from contextpress.runtime.spec import Spec

log = logging.getLogger(__name__)
FILE, LOCK = "checkpoint.safetensors", "lock"
SECONDS_BETWEEN = 60.0  # a shorter job never writes one
SECONDS_VARIABLE = "CONTEXTPRESS_CHECKPOINT_SECONDS"
LARGEST_SHARE = 0.05  # of the time of a training that goes into checkpoints
PACKAGES = ("torch", "accelerate", "transformers", "tokenizers", "peft", "numpy")  # whose version may change a result


def fingerprint(spec: Spec, module: str, inputs: Iterable[Path]) -> str:
    """What the course of a training depends on, as a hash: spec, code behind ``module``, versions, files read."""
    parts = [spec.line(), *(f"{name} {version(name)}" for name in PACKAGES)]
    parts += [f"{Path(path).relative_to(ROOT)} {sha256(Path(path))}" for path in closure(module)]
    parts += [sha256(path) for path in inputs]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def work_in(folder: Path, identity: str) -> Iterator[Checkpoint]:
    """Hold ``folder`` alone until the outputs of a training are written; then remove its checkpoint.

    A second training of the same outputs waits and says so: the jobs of a killed Snakemake go on without it. After an
    error the checkpoint stays. Of several processes of one training the main one holds the folder, and writes.

    Args:
        folder: for this training alone, and none of its outputs: Snakemake deletes outputs of failed jobs.
        identity: see ``fingerprint``; a checkpoint of another one is dropped.
    """
    if not is_main():
        wait()
        yield Checkpoint(folder / FILE, identity)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process trains in %s; waiting until it ends", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        wait()
        checkpoint = Checkpoint(folder / FILE, identity)
        yield checkpoint
        checkpoint.path.unlink(missing_ok=True)


class Checkpoint:
    """A training's file, and when to write it.

    Attributes:
        path: of the file.
        main: whether this process writes it, and the outputs of the training.
        stopped_by: signal that asked for the end, once one came inside ``listening``.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """See ``work_in``."""
        self.path, self.main, self.stopped_by = path, is_main(), 0
        self._identity = identity
        self._between = float(os.environ.get(SECONDS_VARIABLE, SECONDS_BETWEEN))
        self._next = time.monotonic() + self._between

    def due(self) -> bool:
        """Whether to save after this step: some time has passed, or a signal asks for the end."""
        return bool(self.stopped_by) or time.monotonic() >= self._next

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hold back SIGTERM and SIGINT until the step at hand is done; one that is ignored (nohup) stays ignored."""

        def note(number: int, _: FrameType | None) -> None:
            self.stopped_by = number

        numbers = [n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def save(self, module: nn.Module, optimisers: list[torch.optim.Optimizer], losses: Tensor, seconds: float) -> None:
        """Replace the file, unless weights are not finite; end this process by the signal that came, if one did.

        Several processes of one training call this together.

        Args:
            module: its parameters that require a gradient are kept.
            optimisers: of those parameters.
            losses: of the steps done, [steps].
            seconds: spent on them.
        """
        started = time.monotonic()
        weights, memories = self._collected(_weights(module)), self._collected(_memories(optimisers))
        finite = all(bool(torch.isfinite(weight).all()) for weight in weights.values())  # else the next loss will tell
        if self.main and finite:
            self._write(weights | memories | _random_states() | {"losses": losses}, len(losses), seconds)
        ended = time.monotonic()
        self._next = ended + max(self._between, (ended - started) / LARGEST_SHARE)
        if self.stopped_by:
            name = signal.Signals(self.stopped_by).name
            log.info("%s: stopped after step %d; the same command goes on from there", name, len(losses))
            wait()
            signal.signal(self.stopped_by, signal.SIG_DFL)
            os.kill(os.getpid(), self.stopped_by)

    def _collected(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Whole tensors, for the main process; the others take part in putting them together."""
        put_together = ((name, whole(tensor)) for name, tensor in tensors.items())
        return {name: tensor.cpu() for name, tensor in put_together if self.main}

    def _write(self, tensors: dict[str, Tensor], step: int, seconds: float) -> None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        header = {"identity": self._identity, "step": step, "seconds": seconds}
        header["digest"] = _digest(header, tensors)
        try:
            with replacing(self.path) as draft:
                save_file(tensors, draft, {"contextpress": json.dumps(header)})
        except UserError as error:  # the training may still end well
            log.warning("checkpoint %s; the training goes on without", error)

    def restore(self, module: nn.Module, optimisers: list[torch.optim.Optimizer], losses: Tensor) -> tuple[int, float]:
        """Put everything back where it was; see ``save``.

        Returns:
            Steps done and the seconds spent on them; zeros if there is nothing to go on from.
        """
        found = self._read()
        if found is None:
            return 0, 0.0
        step, seconds, tensors = found
        with torch.no_grad():
            for name, weight in _weights(module).items():
                weight.copy_(cut_like(tensors[name].to(weight.device), weight))
            losses[:step] = tensors["losses"].to(losses.device)
        for number, optimiser in enumerate(optimisers):
            for place, parameter in enumerate(_parameters(optimiser)):
                start = f"optimiser/{number}/{place}/"
                kept = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
                optimiser.state[parameter] = {
                    name: cut_like(here, parameter) if here.shape == parameter.shape else here
                    for name, here in ((name, tensor.to(parameter.device)) for name, tensor in kept.items())
                }
        torch.set_rng_state(tensors["random/cpu"])
        if "random/cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random/cuda"])
        log.info("going on after step %d, from %s", step, self.path)
        return step, seconds

    def _read(self) -> tuple[int, float, dict[str, Tensor]] | None:
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as kept:
                header = json.loads((kept.metadata() or {}).get("contextpress", "{}"))
                if header.get("identity") != self._identity:
                    log.info("checkpoint %s is of another spec, code or input; training starts anew", self.path)
                    return None
                # A tensor of this process's own memory: one that is mapped from the file would change under it.
                tensors = {name: kept.get_tensor(name).clone() for name in kept.keys()}  # noqa: SIM118 - no mapping
            if header.pop("digest", None) != _digest(header, tensors):
                raise ValueError("its bytes are not those that were written")
        except (OSError, SafetensorError, ValueError) as error:
            log.warning("checkpoint %s is damaged (%s); training starts anew", self.path, error)
            return None
        return header["step"], header["seconds"], tensors


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {f"weight/{name}": p.detach() for name, p in module.named_parameters() if p.requires_grad}


def _memories(optimisers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    return {
        f"optimiser/{number}/{place}/{name}": value
        for number, optimiser in enumerate(optimisers)
        for place, parameter in enumerate(_parameters(optimiser))
        for name, value in optimiser.state[parameter].items()
    }


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _random_states() -> dict[str, Tensor]:
    states = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random/cuda"] = torch.cuda.get_rng_state()
    return states


def _digest(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
