"""The benchmarks at a tiny size: that they run, that both sides agree, and that what is written can be read."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import flops, memory, scale
from benchmarks.__main__ import keep
from benchmarks.cases import CASES
from benchmarks.harness import Case, Child, Growth, Row, exponent, measure, measure_growth
from benchmarks.scoring import tokenizer
from benchmarks.shapes import SHAPES, tokens
from benchmarks.share import share
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json

TINY = SHAPES["tiny"]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.SHORTEST", 0.0)


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case, Case)], ids=lambda case: case.name)
def test_both_sides_agree(case):
    for row in measure(case, TINY, 1, None):
        assert row.ours > 0
        assert row.baseline > 0
        assert row.equal is (None if case.tolerance is None else True), row.difference


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case, Growth)], ids=lambda case: case.name)
def test_growth_is_measured(case):
    row = measure_growth(case, TINY, 1, None)
    assert np.isfinite(row.ours)
    assert row.wanted == "<= 1.1"


def test_in_processes_of_their_own_and_on_disk(tmp_path):
    cramming = next(case for case in CASES if case.name == "cramming")
    rows = measure(cramming, TINY, 2, tmp_path / "log")
    assert rows[0].equal
    assert rows[0].spread[0] <= rows[0].ratio <= rows[0].spread[1]
    assert min(rows[0].peak_memory_mib) > 50  # Python and torch
    keep(tmp_path, rows)
    keep(tmp_path, [rows[0].model_copy(update={"repeats": 7})])  # renewed, not added
    written = json.loads((tmp_path / "results.json").read_text())
    assert [Row.read(row).repeats for row in written] == [7]
    assert "cramming" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "results.png").stat().st_size > 1000


def test_a_side_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no such luck"):
        Child({"ours": _fails}, TINY, tmp_path / "log").ready()


def _fails(shape, device):
    raise ValueError("no such luck")


def test_exponent_of_known_growth():
    # Time n, n^2 and 3 (without growth): rates are work over time.
    assert exponent([1, 1, 1]) == pytest.approx(1)
    assert exponent([1, 1 / 2, 1 / 4]) == pytest.approx(2)
    assert exponent([1 / 3, 2 / 3, 4 / 3]) == pytest.approx(0)


def test_operations_by_hand():
    # One block of width 2 with one head of width 2, intermediate 3: 4 matrices of 4 weights, 3 of 6.
    shape = TINY.__class__(**{**TINY.__dict__, "layers": 1, "width": 2, "heads": 1, "kv_heads": 1})
    shape = shape.__class__(**{**shape.__dict__, "head_width": 2, "intermediate": 3, "vocabulary": 5})
    # 7 positions in one row: 2 x 7 x 34 per product with weights; attention 2 products of 7 x 7 x 2, three times.
    assert flops.layers(shape, positions=7, rows=1, passes=2) == 2 * 7 * 34 * 2 + 2 * (2 * 7 * 7 * 2) * 3
    assert flops.head(shape, positions=7, rows=1, passes=2) == 2 * 7 * 2 * 5 * 2
    # X [2, 3]: X X' costs 2 x 2 x 2 x 3, A A 2 x 8, B X as much as the first; five times.
    assert flops.muon_step([(3, 2)]) == 5 * (24 + 16 + 24)


def test_every_text_has_the_tokens_it_was_made_of():
    row = tokens(TINY, 1, 9)[0].tolist()
    assert tokenizer(TINY)(" ".join(f"w{token}" for token in row), add_special_tokens=False)["input_ids"] == row


def test_share_of_a_study_by_hand(tmp_path):
    def job(path, end, seconds):
        file = tmp_path / "benchmarks" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"s": seconds}) + "\n")
        os.utime(file, (end, end))

    def record(path, seconds):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps({"seconds": seconds}))

    job("corpus/prose.jsonl", 1010, 10)
    job("lm/D1-s0.jsonl", 1030, 20)  # two side by side
    job("compressors/a.jsonl", 1030, 20)
    job("entropy/D1-s0.jsonl", 2010, 10)  # after a pause, in which nothing ran
    record("lm/D1-s0/record.json", 16.0)
    record("compressors/a/record.json", 18.0)
    # Two cores, busy for 10 + 20 + 10 s; 16 + 18 s of work, and 10 s less the usual start-up of 3 s.
    assert "= 80 s" in share(tmp_path, cores=2)
    assert f"Inside the hot paths: {(16 + 18 + 7) / 80:.1%}" in share(tmp_path, cores=2)
    with pytest.raises(UserError, match="no benchmark files"):
        share(tmp_path / "nothing", cores=2)


@pytest.mark.slow
def test_memory_is_measured_and_told_for_every_step_and_size(tmp_path):
    memory.run(tmp_path, [60, 120])
    told = (tmp_path / "memory.md").read_text(encoding="utf-8")
    rows = read_json(tmp_path / "memory.json")["rows"]
    assert len(rows) == 2 * len({row["step"] for row in rows}) == 10
    assert all(50 < row["mib"] < 2000 and f"| {row['mib']:,.0f} |" in told for row in rows)
    assert all((tmp_path / f"memory.{kind}").stat().st_size for kind in ("pdf", "svg", "png", "txt"))


# -- on paper


def test_the_page_holds_the_tables_of_the_module():
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    # The other table holds a timing, which no test depends on.
    assert all(scale.markdown(rows) in page for rows in (scale.cost(), scale.memory(), scale.presets()))


@pytest.mark.parametrize("size", scale.SIZES)
def test_pretraining_costs_six_per_weight_and_attention(size):
    shape = scale.SIZES[size]
    layer = 4 * shape.width**2 + 3 * shape.width * shape.intermediate
    weights = shape.layers * layer + 32_000 * shape.width
    assert scale.parameters(shape) == weights
    assert abs(weights / {"200M": 200e6, "500M": 500e6, "1B": 1e9}[size] - 1) < 0.07
    assert scale.pretraining(shape) == 6 * weights + 12 * shape.layers * shape.width * 2048
    # A GPU at 40 % of 989 TFLOP/s
    assert scale.hours(395.6e12 * 3600) == pytest.approx(1)


@pytest.mark.parametrize(("size", "weights"), [("05", 494_032_768), ("15", 1_543_714_304)])
def test_the_sizes_of_qwen_are_those_of_its_model_cards(size, weights):
    # Matrices only: norms and biases are less than a thousandth.
    assert scale.parameters(scale.QWEN[size]) == pytest.approx(weights, rel=1e-3)


def test_the_large_presets_cost_what_their_keys_say():
    head, qwen, paper = scale.presets()
    assert head[1:3] == ["models", "compressors"]
    assert qwen[1:3] == ["4", "48"]  # four by four, three seeds; loaded, not trained
    assert paper[1:3] == ["54", "972"]  # six mixtures, three sizes, three seeds; eighteen by eighteen, three seeds
    read = 508_600 * 256 * 512
    per_token = (6 * (scale.parameters(shape) + 2 * shape.layers * shape.width * 512) for shape in scale.SIZES.values())
    wanted = 6 * 3 * sum(per_token) * read / (989e12 * 0.4) / 3600
    assert qwen[3] == "0"
    assert float(paper[3].replace(",", "")) == pytest.approx(wanted, abs=0.5)
    assert read * 0.75 == pytest.approx(50e9, rel=1e-3)
    # Each encoder of the paper's sizes presses for 18 decoders in 3 seeds, six mixtures: its weights, and little more.
    encoders = 4 * 6 * 18 * 3 * sum(map(scale.parameters, scale.SIZES.values())) / 1e9
    assert encoders < float(paper[6].replace(",", "")) < 1.05 * encoders
