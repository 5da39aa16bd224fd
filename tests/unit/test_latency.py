"""The table of latencies. What the clock says cannot be tested; what is timed can."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from contextpress.cli import main
from contextpress.latency import steps
from contextpress.latency.spec import LatencySpec
from contextpress.lm.folder import save_model
from contextpress.plan import Plan
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.models import tiny


def test_every_size_ratio_part_and_batch_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "REPEATS", 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = train_tokenizer(["a text of some words"] * 10, 270)
    words.save_pretrained(tmp_path / "words")
    small, large = (tiny("llama", vocab_size=270, num_hidden_layers=layers) for layers in (1, 3))
    save_model(small, tmp_path / "small")
    save_model(large, tmp_path / "large")
    spec = LatencySpec(sizes=("small", "large"), readout="memory_tokens", connector="mlp", ratios=(2, 4), window=8)
    out, record = tmp_path / "latency.csv", tmp_path / "latency.json"
    options = ["--tokenizers", *2 * [str(tmp_path / "words")], "--output", str(out), "--record", str(record)]
    models = ["--models", str(tmp_path / "small"), str(tmp_path / "large")]
    assert main(["latency", "measure", "--spec", spec.line(), *models, *options]) == 0
    table = pd.read_csv(out)
    assert len(table.drop_duplicates(["size", "ratio", "part", "batch"])) == len(table) == 2 * 2 * 2 * 2
    assert set(table["batch"]) == {1, 32}
    for name, model in (("small", small), ("large", large)):
        assert set(table.loc[table["size"] == name, "parameters"]) == {sum(w.numel() for w in model.parameters())}
    assert (table["quartile_1"] <= table["ms_per_passage"]).all()
    assert (table["ms_per_passage"] <= table["quartile_3"]).all()
    assert (table["quartile_1"] > 0).all()
    assert set(table["device"]) <= {"cpu", json.loads(record.read_text())["device"]}
    assert set(table["threads"]) == {1}
    median = table.set_index(["size", "ratio", "part", "batch"])["ms_per_passage"]
    assert median["small", 2, "reconstruct", 1] > median["small", 2, "encode", 1]  # eight passes against one


def test_the_clock_counts_the_repeats_but_not_the_first(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(steps.time, "perf_counter", lambda: next(ticks) ** 2)
    monkeypatch.setattr(steps, "REPEATS", 3)
    done = []
    # Between ticks 2 n and 2 n + 1 pass 4 n + 1 seconds.
    assert steps._repeated(lambda: done.append(1)) == pytest.approx([5000, 9000, 13000])
    assert len(done) == 4


def test_one_model_of_each_shape_is_timed_and_every_loaded_one():
    shapes = [{"name": "base"}, {"name": "wide", "width": 384}]
    models = [{"name": n, "pretrain": "D1", "shape": s} for n, s in (("A", "base"), ("B", "wide"), ("C", "base"))]
    plan = Plan(
        {
            "lm": {"shapes": shapes, "models": models},
            "compressor": {"encoders": ["A", "B", "C"], "decoders": ["A"]},
        }
    )
    assert plan.sizes == {"base": "A-s0", "wide": "B-s0"}
    loaded = {
        "tokens": {"tokenizer": {"load": "some/model"}},
        "lm": {"models": [{"name": name, "load": f"some/{name}"} for name in ("E", "F")]},
        "compressor": {"encoders": ["E"], "decoders": ["F"]},
    }
    assert Plan(loaded).sizes == {"E": "E", "F": "F"}
    assert Plan(loaded).latency().sizes == ("E", "F")
