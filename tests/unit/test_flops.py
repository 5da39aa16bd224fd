"""Counted operations against those that torch sees."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from contextpress.compressor.debiasing import Debiasing
from contextpress.compressor.model import Compressor
from contextpress.compressor.objectives import Autoencoding
from contextpress.compressor.spec import Architecture, Curriculum, Debias
from contextpress.flops import (
    compressor_step,
    compressor_training,
    debiasing,
    debiasing_step,
    language_model_step,
    scoring,
)
from contextpress.lm.pretrain import new_model, next_token_loss
from contextpress.lm.rows import plain_rows
from contextpress.lm.spec import Shape
from contextpress.runtime.schedule import Schedule

SMALL = Shape(name="small", layers=2, width=16, heads=2, intermediate=40, context=64)
LARGE = Shape(name="large", layers=3, width=24, heads=3, intermediate=56, context=64)
VOCABULARY, ROWS, LENGTH, GROUP = 50, 3, 8, 2


def made(shape: Shape) -> torch.nn.Module:
    model = new_model(shape, VOCABULARY, 0, torch.device("cpu"))
    model.set_attn_implementation("eager")  # torch does not count the fused kernel of processors
    return model


def seen(loss) -> int:
    with FlopCounterMode(display=False) as counter:
        loss().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("shapes", [(SMALL, SMALL), (SMALL, LARGE), (LARGE, SMALL)], ids=["same", "decoder", "encoder"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"connector": "linear"},
        {"connector": "deep"},
        {"connector": "alignment"},
        {"connector_start": "least_squares"},
        {"decoder_training": "lora"},
        {"decoder_training": "full"},
        {"readout": "memory_tokens"},
        {"readout": "interleaved"},
    ],
    ids=lambda changes: "-".join(changes.values()) or "plain",
)
def test_a_step_of_a_compressor_costs_what_torch_counts(shapes, changes):
    architecture = Architecture(**({"readout": "mean_pool", "ratio": GROUP} | changes))
    compressor = Compressor(*map(made, shapes), architecture, LENGTH, bos=0, restate=1)
    objective = Autoencoding(compressor, 0.5)
    rows = torch.randint(2, VOCABULARY, (ROWS, LENGTH))
    counted = compressor_step(architecture, *shapes, VOCABULARY, LENGTH, LENGTH // GROUP, ROWS)
    assert counted == seen(lambda: objective(rows))


@pytest.mark.parametrize("changes", [{}, {"connector": "alignment"}, {"readout": "memory_tokens"}], ids=str)
def test_debiasing_costs_what_torch_counts(changes):
    architecture = Architecture(**({"readout": "mean_pool", "ratio": GROUP} | changes))
    compressor = Compressor(made(SMALL), made(LARGE), architecture, LENGTH, bos=0, restate=1)
    objective = Debiasing(compressor, beta=0.1, weight=1.0)
    true, written = torch.randint(2, VOCABULARY, (2, ROWS, LENGTH))
    sizes = (architecture, SMALL, LARGE, VOCABULARY, LENGTH, LENGTH // GROUP)
    step = seen(lambda: objective(true, written, torch.zeros(ROWS)))
    assert debiasing_step(*sizes, ROWS) == step
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        objective.nll(true, written)
    assert scoring(*sizes, ROWS, 2) == counter.get_total_flops()
    schedule = Schedule(steps=7, batch=ROWS, learning_rate=0.1)
    spec = Debias(passages=5 * ROWS, schedule=schedule)
    assert debiasing(*sizes[:5], spec) == 7 * step + 2 * 5 * counter.get_total_flops()


def test_a_step_of_a_language_model_costs_what_torch_counts():
    model, ids = made(SMALL), torch.randint(2, VOCABULARY, (ROWS, LENGTH))
    rows = plain_rows(ids, 1, 0)
    counted = language_model_step(SMALL, VOCABULARY, LENGTH, ROWS)
    assert counted == seen(lambda: next_token_loss(model, rows))


def test_a_training_is_the_sum_of_its_steps():
    architecture = Architecture(readout="mean_pool", ratio=4)
    curriculum = Curriculum(quarter=0.5, half=0.25, small_groups=0.25)

    def step(length: int, slots: int) -> int:
        return compressor_step(architecture, SMALL, LARGE, VOCABULARY, length, slots, ROWS)

    # Four steps: at 0, 1/4, 1/2, 3/4 of the training. The first is on groups of 1: 8 tokens, 8 vectors.
    by_hand = step(8, 8) + step(8, 2) + step(16, 4) + step(32, 8)
    assert compressor_training(architecture, SMALL, LARGE, VOCABULARY, 32, curriculum, ROWS, 4) == by_hand
