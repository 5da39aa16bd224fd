"""What compressors are trained to do, and on which text."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from contextpress.compressor.objectives import OBJECTIVES, Autoencoding, AutoencodingContinuation
from contextpress.compressor.spec import Curriculum
from contextpress.compressor.training import train
from contextpress.runtime.errors import UserError
from contextpress.runtime.schedule import Schedule
from tests.unit.models import VOCABULARY
from tests.unit.test_compressor import BOS, RESTATE, WINDOW, compressor, passages


def nll(made, inner, mark, ids):
    """Of ``ids`` after <bos>, ``inner`` and a mark: by the decoder alone."""
    table = made.decoder.get_input_embeddings()
    marks = (table(torch.full((len(ids), 1), BOS)), mark.expand(len(ids), 1, -1))
    read = torch.cat([marks[0], inner, marks[1], table(ids)], dim=1)
    logits = made.decoder(inputs_embeds=read).logits[:, inner.shape[1] + 1 : -1]
    return cross_entropy(logits.flatten(0, 1), ids.flatten())


def test_autoencoding_restates_the_passage():
    made, ids = compressor(), passages()
    restate = made.decoder.get_input_embeddings().weight[RESTATE]
    torch.testing.assert_close(Autoencoding(made, 0.9)(ids), nll(made, made.compress(ids), restate, ids))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_continuation_reads_the_same_memory_and_weighs_both(weight):
    made, rows = compressor(), torch.cat([passages(), passages().flip(1)], dim=1)
    first, second = rows[:, :WINDOW], rows[:, WINDOW:]
    objective = AutoencodingContinuation(made, weight)
    with torch.no_grad():
        objective.mark.copy_(torch.randn(made.restate.shape, generator=torch.Generator().manual_seed(1)))
    memory = made.compress(first)
    expected = (1 - weight) * nll(made, memory, made.restate, first)
    expected = expected + weight * nll(made, memory, objective.mark, second)
    torch.testing.assert_close(objective(rows, 2), expected)


def test_the_mark_of_the_continuation_is_trained_and_the_compressor_has_no_part_of_it():
    made = compressor()
    objective = AutoencodingContinuation(made, 0.5)
    torch.testing.assert_close(objective.mark.detach(), made.decoder.get_input_embeddings().weight[BOS].detach())
    before = set(dict(made.named_parameters()))
    objective(torch.cat([passages(), passages()], dim=1), 2).backward()
    assert objective.mark.grad.any()
    assert made.restate.grad.any()
    assert set(dict(made.named_parameters())) == before


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_reads_as_much_text_as_the_objective_needs(name, monkeypatch):
    objective = OBJECTIVES[name](compressor(), 0.5)
    rows = torch.randint(2, VOCABULARY, (6, objective.spans * WINDOW), generator=torch.Generator().manual_seed(0))
    seen, groups, loss_of = [], [], objective.forward

    def forward(ids, group):
        seen.append(ids)
        groups.append(group)
        return loss_of(ids, group)

    monkeypatch.setattr(objective, "forward", forward)
    curriculum = Curriculum(quarter=0.25, half=0.25, small_groups=0.25)
    schedule = Schedule(steps=4, batch=3, learning_rate=1e-3)
    train(objective, {"a": rows.numpy()}, {"a": 1.0}, schedule, curriculum, seed=0, name="test")
    assert [ids.shape for ids in seen] == [(3, objective.spans * n) for n in (2, 4, 8, 8)]
    assert groups == [1, 2, 2, 2]
    texts = {tuple(row.tolist()) for row in rows.unfold(1, objective.spans * 2, 1).flatten(0, 1)}
    assert all(tuple(ids.tolist()) in texts for ids in seen[0])
    assert {tuple(ids.tolist()) for ids in torch.cat(seen[2:])} == {tuple(row.tolist()) for row in rows}


def test_a_domain_without_a_passage_is_refused():
    objective = AutoencodingContinuation(compressor(), 0.5)
    none = torch.empty(0, 2 * WINDOW, dtype=torch.long).numpy()
    schedule = Schedule(steps=1, batch=1, learning_rate=1e-3)
    with pytest.raises(UserError, match="domain b has no training document of 16 tokens"):
        train(objective, {"b": none}, {"b": 1.0}, schedule, Curriculum(), seed=0, name="test")
