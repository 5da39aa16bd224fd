"""Knowledge infusion: which text a dose holds, and that the step goes on from the model it is given."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from contextpress.cli import main
from contextpress.lm.folder import save_model
from contextpress.lm.infusion import infused
from contextpress.lm.pretrain import new_model, pretrain
from contextpress.lm.spec import InfusionSpec, Pretraining, Shape
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.arrays import save_arrays
from contextpress.tokens.tokenizer import ordinary_ids, restate_id, train_tokenizer

ROW = 8


def rows_of(first: int, count: int) -> torch.Tensor:
    """Rows that can be told apart: each holds its own number."""
    return torch.arange(first, first + count).unsqueeze(1).expand(-1, ROW).contiguous()


@given(
    own=st.integers(1, 9),
    other=st.integers(1, 9),
    count=st.integers(1, 30),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 3),
)
def test_the_share_is_exact_and_rows_repeat_only_when_used_up(own, other, count, share, seed):
    drawn = infused(rows_of(0, own), rows_of(100, other), share, count, seed)
    assert drawn.shape == (count, ROW)
    assert (drawn == drawn[:, :1]).all()
    times = Counter(drawn[:, 0].tolist())
    for first, there, wanted in ((100, other, round(share * count)), (0, own, count - round(share * count))):
        counts = [times.pop(number, 0) for number in range(first, first + there)]
        assert sum(counts) == wanted
        assert max(counts) - min(counts) <= 1
    assert not times


def test_draws_follow_from_the_seed():
    one, two, three = (infused(rows_of(0, 40), rows_of(100, 40), 0.5, 20, seed) for seed in (0, 0, 1))
    assert one.equal(two)
    assert not one.equal(three)


@pytest.fixture
def folders(tmp_path):
    words = train_tokenizer(["a few words to train on, and some more of them"] * 5, 280)
    words.save_pretrained(tmp_path / "tokenizer")
    torch.manual_seed(0)
    shape = Shape(layers=1, width=16, heads=2, intermediate=24, context=40)
    save_model(new_model(shape, len(words), words.bos_token_id, torch.device("cpu")), tmp_path / "start")
    draw = np.random.default_rng(0)
    for name, low, high in (("own", 20, 150), ("other", 150, 280)):
        save_arrays(tmp_path / f"{name}.safetensors", rows=draw.integers(low, high, (50, ROW)).astype(np.uint16))
    return tmp_path, words, shape


SCHEDULE = Schedule(steps=5, batch=8, learning_rate=0.01)
SPEC = InfusionSpec(name="tried", pretraining=Pretraining(schedule=SCHEDULE, row=ROW), groups=(1, 2), seed=3, share=0.4)


def test_a_dose_is_counted_by_hand():
    # A quarter of 8 rows holds random ids: 6 of text a step, 30 in 5 steps.
    assert (SPEC.rows, SPEC.infused_rows) == (30, 12)


def test_the_step_goes_on_with_pretraining_on_both_corpora(folders):
    folder, words, shape = folders
    options = {
        "--start": folder / "start",
        "--rows": folder / "own.safetensors",
        "--infused": folder / "other.safetensors",
        "--tokenizer": folder / "tokenizer",
        "--checkpoints": folder / "checkpoints",
        "--output": folder / "made",
        "--record": folder / "made/record.json",
    }
    arguments = [str(part) for pair in options.items() for part in pair]
    assert main(["lm", "infuse", "--spec", SPEC.line(), *arguments]) == 0
    made = load_file(folder / "made/model.safetensors")

    # The same by hand, from the parts.
    torch.manual_seed(SPEC.seed)
    model = new_model(shape, len(words), words.bos_token_id, torch.device("cpu")).train()
    model.load_state_dict(load_file(folder / "start/model.safetensors"), strict=False)
    draw = np.random.default_rng(0)
    corpora = [torch.from_numpy(draw.integers(low, high, (50, ROW))).int() for low, high in ((20, 150), (150, 280))]
    windows = infused(*corpora, 0.4, 30, 3)
    assert int((windows >= 150).all(1).sum()) == 12
    marks = (torch.tensor(ordinary_ids(words)), words.bos_token_id, restate_id(words))
    done = pretrain(model, SPEC.pretraining, SPEC.groups, windows, *marks, SPEC.seed, "by hand")
    assert all(made[name].equal(weight) for name, weight in model.named_parameters())
    assert made.keys() == dict(model.named_parameters()).keys()
    told = json.loads((folder / "made/record.json").read_text())
    assert told["spec"]["share"] == 0.4
    assert len(done.loss) == 5
