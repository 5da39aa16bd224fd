"""Debias, then learn: the loss against float64 by hand, the mistakes, the step, and that it can be stopped."""

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress.cli import main
from contextpress.compressor.debiasing import Debiasing, debias, preference_loss
from contextpress.compressor.description import describe
from contextpress.compressor.folder import load_compressor
from contextpress.reconstruction.greedy import stepwise
from contextpress.runtime import checkpoint as checkpoint_module
from contextpress.runtime.checkpoint import SECONDS_VARIABLE, Checkpoint, work_in
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.arrays import load_arrays, save_arrays
from tests.unit.models import VOCABULARY, tiny_study
from tests.unit.test_compressor import BOS, WINDOW, compressor, passages

SCHEDULE = Schedule(steps=6, batch=4, learning_rate=0.01)
nats = st.floats(-60, 60)


@given(pairs=st.lists(st.tuples(nats, nats, nats, nats), min_size=1, max_size=6), beta=st.floats(0.01, 2))
def test_the_preference_loss_is_that_of_the_paper(pairs, beta):
    won, lost, won_before, lost_before = (torch.tensor(each, dtype=torch.float64) for each in zip(*pairs, strict=True))
    found = preference_loss((won - lost).float(), (won_before - lost_before).float(), beta)
    ratios = [beta * ((w - wb) - (lo - lb)) for w, lo, wb, lb in pairs]
    expected = np.mean([np.log1p(np.exp(-abs(r))) + max(-r, 0.0) for r in ratios])  # -log(1 / (1 + e^-r))
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def log_probability(made, memory, texts):
    """Of texts after memory, by the decoder alone, in float64: [batch]."""
    decoder = copy.deepcopy(made.decoder).double()
    table = decoder.get_input_embeddings()
    start, mark = table(torch.full((len(texts), 1), BOS)), made.restate.double().expand(len(texts), 1, -1)
    read = torch.cat([start, memory.double(), mark, table(texts)], dim=1)
    told = decoder(inputs_embeds=read).logits[:, memory.shape[1] + 1 : -1].log_softmax(-1)
    return told.gather(2, texts.unsqueeze(-1)).squeeze(-1).sum(1)


def test_the_loss_is_that_of_both_terms_by_hand():
    made, true = compressor().eval(), passages(5)
    written = true.clone()
    written[1:, 3:] = torch.randint(2, VOCABULARY, (4, WINDOW - 3), generator=torch.Generator().manual_seed(1))
    reference = torch.tensor([0.0, 2.0, -3.0, 0.5, 40.0])
    with torch.no_grad():
        memory = made.compress(true)
        won, lost = (log_probability(made, memory, texts) for texts in (true, written))
        ratios = 0.3 * ((won - lost) - reference.double())
        expected = torch.log1p(torch.exp(-ratios)).mean() - 0.7 * won.mean() / WINDOW
        found = Debiasing(made, beta=0.3, weight=0.7)(true, written, reference)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_passage_written_without_a_mistake_pulls_nowhere():
    made, true = compressor(), passages()
    Debiasing(made, beta=0.3, weight=0.0)(true, true.clone(), torch.zeros(len(true))).backward()
    assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in made.parameters())


def margins(made, true, written):
    with torch.no_grad():
        memory = made.compress(true)
        return log_probability(made, memory, true) - log_probability(made, memory, written)


def pairs():
    generator = torch.Generator().manual_seed(2)
    return tuple(torch.randint(2, VOCABULARY, (16, WINDOW), generator=generator) for _ in range(2))


def test_it_prefers_the_truth_afterwards_and_leaves_a_frozen_decoder_alone():
    made, (true, written) = compressor().eval(), pairs()
    before, decoder = margins(made, true, written), copy.deepcopy(made.decoder.state_dict())
    schedule = Schedule(steps=30, batch=16, learning_rate=0.01)
    done = debias(Debiasing(made, beta=0.3, weight=0.0), true, written, schedule, seed=0, name="test")
    # With the compressor as the reference of itself, every pair costs log 2.
    assert done.loss[0] == pytest.approx(np.log(2), rel=1e-3)
    assert done.loss[-1] < 0.8 * done.loss[0]
    assert (margins(made, true, written) > before).float().mean() > 0.8
    assert made.encoder.training
    assert not made.decoder.training
    assert all(weight.equal(decoder[name]) for name, weight in made.decoder.state_dict().items())


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_stopped_stage_ends_with_the_same_bytes(stop, tmp_path, monkeypatch):
    def train(checkpoint=None):
        objective = Debiasing(compressor().eval(), beta=0.3, weight=1.0)
        done = debias(objective, *pairs(), SCHEDULE, seed=3, name="test", checkpoint=checkpoint)
        return [p.detach().numpy().tobytes() for p in objective.parameters()], done.loss

    undisturbed = train()
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    monkeypatch.setattr(checkpoint_module, "LARGEST_SHARE", 1e9)
    write = Checkpoint._write

    def write_and_stop(self, tensors, done, seconds):
        write(self, tensors, done, seconds)
        if done == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), work_in(tmp_path, "same") as checkpoint:
        patch.setattr(Checkpoint, "_write", write_and_stop)
        train(checkpoint)
    with work_in(tmp_path, "same") as checkpoint:
        assert checkpoint.path.exists()
        assert train(checkpoint) == undisturbed


@pytest.fixture
def study(tmp_path):
    """A compressor of tiny models, and the options of both steps."""
    folder = tiny_study(tmp_path)
    draw = np.random.default_rng(0)
    for domain, tokens in (("prose", 200), ("code", 33)):
        ids = draw.integers(4, 280, tokens).astype(np.uint16)
        save_arrays(tmp_path / f"{domain}.safetensors", ids=ids, offsets=np.array([0, 20, tokens]))
    parts = {"encoder": tmp_path / "lm/one", "decoder": tmp_path / "lm/two", "tokenizer": tmp_path / "tokens/tokenizer"}
    spec = {"batch": 4, "passages": 12, "domains": {"prose": 2.0, "code": 1.0}, "window": 8, "seed": 1}
    arrays = [tmp_path / "prose.safetensors", tmp_path / "code.safetensors"]
    written = tmp_path / "mistakes.safetensors"
    step("reconstruction mistakes", spec, compressor=folder, **parts, arrays=arrays, output=written, record="m.json")
    return folder, parts, written


def step(command, spec, **options):
    words = [*command.split(), "--spec", json.dumps(spec)]
    for name, value in options.items():
        words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    assert main(words) == 0


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_mistakes_are_plain_greedy_decoding_of_training_passages(study, tmp_path):
    folder, parts, written = study
    found = {name: torch.from_numpy(ids.astype("int64")) for name, ids in load_arrays(written).items()}
    assert found["true"].shape == found["written"].shape == (12, 8)
    # 20 tokens of the first document hold two windows, what is left of the others 22 and one.
    known = {}
    for domain in ("prose", "code"):
        ids = load_arrays(tmp_path / f"{domain}.safetensors")["ids"].astype("int64")
        starts = [*range(0, 16, 8), *range(20, len(ids) - 7, 8)]
        known |= {tuple(ids[start : start + 8].tolist()): domain for start in starts}
    drawn = [known[tuple(row.tolist())] for row in found["true"]]
    assert drawn == ["prose"] * 8 + ["code"] * 4
    assert len({tuple(row.tolist()) for row in found["true"][:8]}) == 8
    made = load_compressor(folder, parts, torch.device("cpu"))
    with torch.no_grad():
        by_steps, _ = stepwise(made.decoder, made.prefix(made.compress(found["true"])), 8)
    assert found["written"].equal(by_steps)
    assert json.loads((tmp_path / "m.json").read_text())["exact"] == 0.0


def test_the_step_makes_an_ordinary_compressor(study, tmp_path):
    folder, parts, written = study
    spec = {
        "name": "debiased",
        "passages": 12,
        "beta": 0.2,
        "weight": 0.5,
        "schedule": {"steps": 3, "batch": 4, "learning_rate": 0.01},
        "seed": 5,
    }
    places = {"checkpoints": "kept", "output": "debiased", "record": "debiased/record.json"}
    step("compressor debias", spec, start=folder, mistakes=written, **parts, **places)
    device = torch.device("cpu")
    made = load_compressor(tmp_path / "debiased", parts, device)
    by_hand = load_compressor(folder, parts, device)
    torch.manual_seed(5)
    found = [torch.from_numpy(load_arrays(written)[name].astype("int64")) for name in ("true", "written")]
    debias(Debiasing(by_hand, 0.2, 0.5), *found, Schedule(**spec["schedule"]), seed=5, name="by hand")
    assert all(one.equal(two) for one, two in zip(made.parameters(), by_hand.parameters(), strict=True))
    told, before = describe(tmp_path / "debiased"), describe(folder)
    assert told.spec == before.spec.model_copy(update={"name": "debiased"})
    assert told.encoder.sha256 == before.encoder.sha256
