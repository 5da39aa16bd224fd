"""The optimisers of the training loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from contextpress.runtime.processes import cut_like, whole

# Odd polynomials a x + b x^3 + c x^5 that, one after the other, bring the singular values of a matrix near 1 (the first
# of those of Polar Express, Amsel et al., arXiv 2505.16932). Three leave those of a wide random matrix between 0.2 and
# 1.9, where five reach 0.9 to 1.4. In a trial (one compressor, 160 steps, ratio 4) token accuracy on held-out prose was
# 0.596, 0.586 and 0.578 with three, four and five at momentum 0.95, and 0.580 and 0.623 with two and three at 0.9.
POLYNOMIALS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)


def muon_and_adamw(module: nn.Module, rate: float, decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside a model, AdamW for embeddings, gains, biases and single vectors.

    Args:
        module: whose parameters that require a gradient are trained.
        rate: learning rate of both.
        decay: decoupled weight decay of the matrices.
    """
    inner = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear)}
    tables = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}  # may be tied
    learning = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in learning if id(p) in inner - tables]
    others = [p for p in learning if id(p) not in inner - tables]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, rate, decay))
    if others:
        made.append(torch.optim.AdamW(others, rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True))
    return made


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for matrices [out, in] inside a model (Jordan et al. 2024).

    The update has AdamW's usual size (Liu et al., arXiv 2502.16982), so that both share one learning rate. Matrices of
    one shape are orthogonalised together: torch's own Muon takes them one by one. Matrices that are divided among
    processes (FSDP) are put together for it, for only the whole has singular values; every process then does the same
    work, and keeps its part of the update.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.9) -> None:
        """``weight_decay`` is decoupled, as in AdamW.

        The momentum suits trainings of a few hundred steps; see the trial above.
        """
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of all matrices."""
        for group in self.param_groups:
            matrices = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in matrices]
            for p in matrices:
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            averages = [self.state[p]["momentum"] for p in matrices]
            torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, averages, group["momentum"])  # Nesterov's
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
            for i, p in enumerate(matrices):
                shapes[min(p.shape), max(p.shape)].append(i)
            for shape, members in shapes.items():
                wide = [whole(ahead[i]) if ahead[i].shape == shape else whole(ahead[i]).mT for i in members]
                updates = orthogonalised(torch.stack(wide)).unbind()
                size = -0.2 * group["lr"] * max(shape) ** 0.5
                for i, update in zip(members, updates, strict=True):
                    turned = update if update.shape == matrices[i].shape else update.mT
                    matrices[i].add_(cut_like(turned, matrices[i]), alpha=size)


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: [n, rows, columns] with rows <= columns -> same, bfloat16."""
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in POLYNOMIALS:
        square = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
