"""The model card says what the files and the observations say."""

from __future__ import annotations

import re

import pytest
import yaml
from safetensors.torch import load_file

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.spec import CompressorDescription, MemoryTest
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.report.spec import CardsSpec, Origin
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import observations
from tests.unit.models import tiny_study

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    results = tmp_path_factory.mktemp("study") / "results/tried"
    for seed in SEEDS:
        tiny_study(results, f"D1-D6-s{seed}", seed, readout="memory_tokens")
    return results


def cards(study, tmp_path, rows, min_gain=0.25):
    write_table(tmp_path / "observations.parquet", rows, OBSERVATIONS)
    shared = {"encoder": "D1", "decoder": "D6", "readout": "memory_tokens", "ratio": 4, "decoder_training": "frozen"}
    spec = CardsSpec(
        study="tried",
        compressors=tuple(
            CompressorDescription(**shared, encoder_model="one", decoder_model="two", seed=seed) for seed in SEEDS
        ),
        models={
            "one": Origin(mixture="D2", shares={"prose": 5, "code": 1}),
            "two": Origin(mixture=None, load="some/model"),
        },
        memory_test=MemoryTest(min_gain=min_gain),
    )
    folders = [study / f"compressors/D1-D6-s{seed}" for seed in SEEDS]
    made = [tmp_path / f"{folder.name}.md" for folder in folders]
    table = ["--observations", str(tmp_path / "observations.parquet"), "--compressors", *map(str, folders)]
    assert main(["report", "cards", "--spec", spec.line(), *table, "--output", *map(str, made)]) == 0
    return [path.read_text() for path in made]


def test_a_card_tells_of_its_own_compressor(study, tmp_path):
    rows = observations(("D1", "D6"), ("prose", "code"), passages=20, ladder=2, ratios=(4, 8), seeds=SEEDS)
    texts = cards(study, tmp_path, rows)
    assert texts == cards(study, tmp_path, rows)
    mine = rows[(rows["encoder"] == "D1") & (rows["decoder"] == "D6") & (rows["ratio"] == 4)]
    for seed, text in zip(SEEDS, texts, strict=True):
        assert f"# D1-D6-s{seed}\n" in text
        assert yaml.safe_load(text.split("---")[1])["library_name"] == "contextpress"
        assert f'Compressor.from_pretrained("results/tried/compressors/D1-D6-s{seed}")' in text
        own = mine[(mine["seed"] == seed) & (mine["variant"] == "normal")]
        for domain in ("prose", "code"):
            part = own[own["domain"] == domain]
            line = next(line for line in text.splitlines() if line.startswith(f"| {domain} |"))
            measured = [f"{part[name].mean():.3f}" for name in ("accuracy", "token_f1", "exact_match", "nll")]
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert [*cells[1:5], *cells[6:8]] == ["20", str(part["document_id"].nunique()), *measured]
            assert cells[5] == f"{part['bleu'].mean():.1f}" and cells[8] == f"{part['nll_shuffled'].mean():.3f}"
        assert re.search(r"\| all \| 40 \|", text)


def test_a_card_tells_sizes_and_what_was_trained_on(study, tmp_path):
    rows = observations(("D1", "D6"), ("prose", "code"), passages=20, ladder=2, ratios=(4,), seeds=SEEDS)
    text = cards(study, tmp_path, rows)[0]
    sizes = {
        name: sum(w.numel() for w in load_file(study / path).values())
        for name, path in (
            ("one", "lm/one/model.safetensors"),
            ("two", "lm/two/model.safetensors"),
            ("trained", "compressors/D1-D6-s0/compressor.safetensors"),
        )
    }
    assert f"encoder: one, pretrained on D2 (prose 83.3 %, code 16.7 %); {sizes['one']:,} parameters" in text
    assert f"decoder: two, loaded from some/model; {sizes['two']:,} parameters; training: frozen" in text
    assert f"weights that were trained: {sizes['trained']:,}" in text
    assert "text: prose 100 %" in text
    assert "1 steps of 1 passages (1 in all" in text
    assert "Presses text into vectors, 8 tokens at a time, one vector for 4 of them" in text


def test_the_verdict_on_memory_use_is_that_of_the_observations(study, tmp_path):
    rows = observations(("D1", "D6"), ("prose", "code"), passages=20, ladder=2, ratios=(4,), seeds=SEEDS)
    rows["nll"], rows["nll_shuffled"] = 1.0, 1.0 + (rows["passage_id"].str[-2:] == "32") * 0.5 + 0.5
    rows["memory_used"] = rows["seed"] == 0
    used, unused = cards(study, tmp_path, rows, min_gain=0.4)
    assert "**Used.** With its own memory the decoder predicts a passage by 0.75 nats per token better" in used
    assert "A bound above 0.4 counts as use." in used
    # Each document has one passage with a gain of 0.5 and one of 1: its sum of deviations is 0, and so is the error.
    assert "lower bound 0.75, errors counted by document; 20 documents" in used
    assert "**Not shown to be used.**" in unused


def test_the_plan_names_the_origin_of_every_model():
    plan = Plan({"seeds": [0, 1]})
    spec = plan.cards()
    assert spec.models.keys() == plan.models.keys()
    assert spec.models["D1-s0"] == Origin(mixture="D1", shares={"prose": 1.0})
    assert set(spec.models["D4-s1"].shares) == {"prose", "code", "examples", "arithmetic"}
    assert [(c.encoder_model, c.seed) for c in spec.compressors] == [
        (j.encoder.name, j.seed) for j in plan.jobs.values()
    ]
    loaded = {
        "tokens": {"tokenizer": {"load": "some/model"}},
        "lm": {"models": [{"name": name, "load": f"some/{name}"} for name in ("E", "F")]},
        "compressor": {"encoders": ["E"], "decoders": ["F"]},
    }
    assert Plan(loaded).cards().models["E"] == Origin(mixture=None, load="some/E")
