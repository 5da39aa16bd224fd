"""The optimisers of the training loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from contextpress.runtime.optimisers import Muon, muon_and_adamw, orthogonalised


def test_orthogonalised_keeps_singular_vectors_and_brings_singular_values_near_one():
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(3, 24, 40), full_matrices=False)
    given = u @ torch.diag_embed(torch.logspace(0, -1, 24).expand(3, 24)) @ v
    middle = (u.mT @ orthogonalised(given).float() @ v.mT).double()
    values = torch.diagonal(middle, dim1=1, dim2=2)
    assert values.min() > 0.15 and values.max() < 2.0
    assert (middle - torch.diag_embed(values)).abs().max() < 0.05  # bfloat16


def test_matrices_are_orthogonalised_each_by_itself():
    torch.manual_seed(0)
    several = torch.randn(5, 16, 48)
    alone = torch.cat([orthogonalised(one.unsqueeze(0)) for one in several])
    assert torch.allclose(orthogonalised(several).float(), alone.float(), atol=2e-2)


def test_one_step_by_hand():
    """Decay, Nesterov's momentum, the orthogonal direction and AdamW's size, for a tall and a wide matrix."""
    torch.manual_seed(0)
    shapes = ((6, 3), (3, 6), (4, 4))
    matrices = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    before = [p.detach().clone() for p in matrices]
    gradients = [torch.randn(shape) for shape in shapes]
    for p, gradient in zip(matrices, gradients, strict=True):
        p.grad = gradient.clone()
    Muon(matrices, lr=0.1, weight_decay=0.5).step()
    for p, start, gradient in zip(matrices, before, gradients, strict=True):
        ahead = (1 - 0.9) * gradient + 0.9 * (1 - 0.9) * gradient
        wide = ahead if ahead.shape[0] <= ahead.shape[1] else ahead.T
        direction = orthogonalised(wide.unsqueeze(0))[0].float()
        direction = direction if wide is ahead else direction.T
        expected = start * (1 - 0.1 * 0.5) - 0.1 * 0.2 * max(start.shape) ** 0.5 * direction
        assert torch.allclose(p, expected, atol=1e-2)


def test_every_parameter_has_one_optimiser_and_tied_tables_are_not_matrices():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(8, 4)
            self.inside = nn.Linear(4, 4)
            self.still = nn.Linear(4, 4).requires_grad_(requires_grad=False)
            self.head = nn.Linear(4, 8, bias=False)
            self.head.weight = self.table.weight

    module = Tied()
    muon, adamw = ([p for group in made.param_groups for p in group["params"]] for made in muon_and_adamw(module, 1, 0))
    assert [id(p) for p in muon] == [id(module.inside.weight)]
    assert {id(p) for p in adamw} == {id(module.table.weight), id(module.inside.bias)}


@pytest.mark.parametrize("shape", [(5, 7), (7, 5)])
def test_it_finds_a_linear_map(shape):
    torch.manual_seed(0)
    wanted, inputs = torch.randn(shape), torch.randn(64, shape[1])
    found = nn.Linear(shape[1], shape[0], bias=False)
    optimiser = Muon([found.weight], lr=0.05, weight_decay=0.0)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimiser.zero_grad()
        loss = (found(inputs) - inputs @ wanted.T).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 1e-3
