"""A study whose models are of several families, and read their own tokens."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.entropy.scores import GAP_OF_SEVERAL, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.lm.folder import save_model
from contextpress.runtime.tables import read_table
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.browser import CHROMIUM, Browser
from tests.unit.models import end_only, tiny
from tests.workflow.running import PROJECT, snakemake, would_run, write_yaml

pytestmark = pytest.mark.workflow
# A pretrained model: named by a variable, or beside the project.
PRETRAINED = Path(os.environ.get("CONTEXTPRESS_TEST_MODEL") or PROJECT.parent / "shared/data/stories260K-hf")
TEXT = "Some words to begin with, and others that follow: 1 + 2 = 3. def f(x): return x\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A model as Qwen's are, without a token for the beginning of a text, and one as GPT-NeoX; random weights."""
    there = tmp_path_factory.mktemp("models")
    for name, words, family, width in (
        ("qwen", end_only([TEXT] * 5, 280), "qwen2", 32),
        ("neox", train_tokenizer([TEXT] * 5, 290), "gpt-neox", 48),
    ):
        words.save_pretrained(there / name)
        save_model(tiny(family, vocab_size=len(words), hidden_size=width), there / name)
    return {path.name: path for path in there.iterdir()}


def study(folders: dict[str, Path], encoders: list[str], decoders: list[str]) -> dict:
    """What differs from the smoke study."""
    loaded = [
        {"name": name, "load": str(path), "tokenizer": "own", "window": 90} for name, path in sorted(folders.items())
    ]
    return {
        "study": "several",
        "lm": {"models": [{"name": "D1", "pretrain": "D1"}, *loaded]},
        "compressor": {
            "encoders": encoders,
            "decoders": decoders,
            "schedule": {"steps": 10, "batch": 6, "learning_rate": 0.01},
        },
        "analysis": {"claims": {"c2": {"predictor": "decoder_bits_per_byte"}}},
    }


def test_each_model_is_asked_for_its_own_tokens(checkout, folders, tmp_path):
    overlay = write_yaml(tmp_path / "mine.yaml", study(folders, ["D1", "qwen"], ["D1", "neox"]))
    jobs = would_run(checkout, overlay)
    # D1 is pretrained twice: encoder and decoder of a pair never share weights.
    assert (jobs["load"], jobs["pretrain"], jobs["score"], jobs["compressor"]) == (2, 2, 4, 4)
    assert (jobs["own_tokenizer"], jobs["own_passages"]) == (2, 2)
    assert jobs["explorer"] == 1


@pytest.mark.slow
def test_a_study_of_several_tokenizers_comes_to_its_findings(checkout, folders, tmp_path):
    run_to_the_end(checkout, write_yaml(tmp_path / "mine.yaml", study(folders, ["D1", "qwen"], ["D1", "neox"])))
    if CHROMIUM:
        its_explorer_shows_each_model_its_own_tokens(checkout / "results/several", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not (PRETRAINED / "model.safetensors").is_file(), reason="no pretrained model is at hand")
def test_a_pretrained_model_serves_as_encoder_and_as_decoder(checkout, folders, tmp_path):
    both = {"stories": PRETRAINED, "qwen": folders["qwen"]}
    values = study(both, ["stories", "qwen"], ["stories", "D1"]) | {"study": "stories"}
    run_to_the_end(checkout, write_yaml(tmp_path / "mine.yaml", values))


def run_to_the_end(checkout: Path, overlay: Path) -> None:
    done = snakemake(checkout, overlay=overlay, timeout=3000)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    assert would_run(checkout, overlay) == {}
    results = checkout / "results" / ("several" if "several" in overlay.read_text() else "stories")
    gaps = read_table(results / "entropy/gap.parquet", GAP_OF_SEVERAL).set_index(["encoder", "decoder"])
    other = gaps.index.get_level_values(0) != gaps.index.get_level_values(1)
    assert gaps.loc[other, "kl_encoder_decoder"].isna().all()
    assert gaps.loc[other, "not_available"].str.contains("different tokenizers").all()
    assert gaps.loc[~other, "kl_encoder_decoder"].notna().all()
    assert gaps.loc[~other, "not_available"].isna().all()
    rows = read_table(results / "tables/observations.parquet", OBSERVATIONS)
    assert rows.groupby(["encoder", "decoder"])["passage_id"].nunique().nunique() == 1
    assert rows["tokens"].eq(16).all()  # the study's
    for claim in ("c1", "c2", "c3"):
        found = json.loads((results / f"findings/{claim}.json").read_text(encoding="utf-8"))
        assert found["verdict"] in ("supported", "contradicted", "inconclusive")


def its_explorer_shows_each_model_its_own_tokens(results: Path, folder: Path) -> None:
    page = Browser(folder / "profile")
    try:
        page.open(results / "explorer.html")
        page.until("at('name').textContent !== ''")
        for which in range(page.ask("study.compressors.length")):
            page.ask(f"at('pair').value = pairOf(study.compressors[{which}]), choose()")
            passage = page.ask("at('name').textContent")
            for side in ("encoder", "decoder"):
                model = page.ask(f"study.models[study.compressors[view.compressor].{side}_model]")
                tokens = read_table(results / f"entropy/tokens/{model}.parquet", TOKEN_SCORES).set_index("passage_id")
                shown = page.ask(f"Array.from(at('{side}').children, (token) => Number(token.lastChild.textContent))")
                assert shown == pytest.approx(tokens.loc[passage, "nll"].clip(upper=15.9).tolist(), abs=0.09)
                scores = read_table(results / f"entropy/passages/{model}.parquet", PASSAGE_SCORES)
                scores = scores.set_index("passage_id").loc[passage, ["nll", "bits_per_byte"]]
                told = re.findall(r"(\d+\.\d+) (?:nats|bits) per", page.ask(f"at('{side}-title').textContent"))
                assert [float(number) for number in told] == pytest.approx(scores.tolist(), abs=0.006)
        assert page.problems == []
    finally:
        page.close()
