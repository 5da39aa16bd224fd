"""Models with tokenizers of their own: what they read, their scores, gaps and latency."""

from __future__ import annotations

import json
import shutil
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from contextpress.entropy.scores import GAP, GAP_OF_SEVERAL, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.entropy.spec import GapSpec, Pair, ScoreSpec
from contextpress.entropy.steps import gap, score
from contextpress.latency.spec import LatencySpec
from contextpress.latency.steps import measure as measure_latency
from contextpress.lm.folder import load_model, save_model
from contextpress.lm.spec import LoadSpec
from contextpress.lm.steps import load
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import sha256
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.own import filled, padded
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.spec import OwnTokensSpec, TokenizerSpec
from contextpress.tokens.steps import retokenize, tokenizer
from contextpress.tokens.tokenizer import load_tokenizer
from tests.unit.mixed_study import DEVICE, MODELS, WINDOW, read_whole
from tests.unit.models import tiny


def test_a_model_in_the_hubs_cache_is_loaded_without_a_network(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    kept, commit = tmp_path / "cache/models--owner--qwen", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(mixed.folder / "hub/qwen", kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text(commit)
    words = tmp_path / "words"
    tokenizer(spec=TokenizerSpec(load="owner/qwen"), documents=[], output=words)
    for revision in (None, "main", commit):
        spec = LoadSpec(name="q", path="owner/qwen", revision=revision, positions=64)
        load(spec=spec, tokenizer=words, output=tmp_path / "q", record=tmp_path / "record.json")
        assert json.loads((tmp_path / "record.json").read_text())["commit"] == commit
        assert sha256(tmp_path / "q/model.safetensors") == sha256(mixed.models["qwen"] / "model.safetensors")


def test_passages_keep_their_text_in_other_tokens(mixed):
    before, after = read_table(mixed.whole[0], PASSAGES), read_table(mixed.passages["qwen"][0], PASSAGES)
    words = load_tokenizer(mixed.words["qwen"])
    assert after.drop(columns="token_ids").equals(before.drop(columns="token_ids"))
    assert [words.decode(ids) for ids in after["token_ids"]] == before["text"].tolist()
    assert after["token_ids"].map(len).nunique() > 3  # or nothing here is tried on unequal lengths


def test_disturbed_passages_are_cut_and_others_are_refused_with_the_number_needed(mixed, tmp_path):
    needed = int(read_table(mixed.passages["qwen"][0], PASSAGES)["token_ids"].map(len).max())
    made = {"output": tmp_path / "passages.parquet", "ladder_output": tmp_path / "ladder.parquet"}
    words, (whole, disturbed) = mixed.words["qwen"], mixed.whole
    with pytest.raises(UserError, match=f"qwen reads at most {needed - 1} tokens .* set its window to {needed}$"):
        spec = OwnTokensSpec(model="qwen", window=needed - 1)
        retokenize(spec=spec, tokenizer=words, passages=whole, ladder=disturbed, **made)
    assert list(tmp_path.iterdir()) == []
    write_table(tmp_path / "none.parquet", read_table(whole, PASSAGES).head(0), PASSAGES)
    spec = OwnTokensSpec(model="qwen", window=15)
    retokenize(spec=spec, tokenizer=words, passages=tmp_path / "none.parquet", ladder=disturbed, **made)
    sizes = set()
    for row in read_table(made["ladder_output"], PASSAGES).to_dict("records"):
        assert row["text"] == load_tokenizer(words).decode(row["token_ids"])
        assert row["bytes"] == len(row["text"].encode())
        sizes.add(len(row["token_ids"]))
    assert max(sizes) == 15 > min(sizes)


def test_rows_are_filled_up_and_cut():
    assert filled([[1, 2, 3], [4]], 2, 9).tolist() == [[1, 2], [4, 9]]
    rows, lengths = padded([[1, 2, 3], [4]], 9)
    assert rows.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_each_passage_alone(mixed, name, tmp_path):
    score(
        spec=ScoreSpec(model=name, buckets=2),
        model=mixed.models[name],
        tokenizer=mixed.words[name],
        passages=mixed.passages[name],
        output=tmp_path / "passages.parquet",
        tokens_output=tmp_path / "tokens.parquet",
    )
    found = read_table(tmp_path / "passages.parquet", PASSAGE_SCORES).set_index("passage_id")
    tokens = read_table(tmp_path / "tokens.parquet", TOKEN_SCORES).groupby("passage_id", sort=False)
    passages = read_whole(mixed.passages[name])
    assert list(found.index) == passages["passage_id"].tolist()
    model, bos = load_model(mixed.models[name], DEVICE), load_tokenizer(mixed.words[name]).bos_token_id
    for passage in passages.to_dict("records"):
        ids = torch.tensor([[bos, *passage["token_ids"]]])
        with torch.no_grad():
            nll = cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none").double()
        row, each = found.loc[passage["passage_id"]], tokens.get_group(passage["passage_id"])
        assert row["nll"] == pytest.approx(float(nll.mean()), abs=1e-5)
        assert row["bits_per_byte"] == pytest.approx(float(nll.sum()) / np.log(2) / passage["bytes"], abs=1e-5)
        assert each["token_id"].tolist() == list(passage["token_ids"])
        assert each["position"].tolist() == list(range(len(nll)))
        np.testing.assert_allclose(each["nll"], nll, atol=1e-5)


def test_a_gap_that_needs_one_tokenizer_is_empty_with_the_reason(mixed, tmp_path):
    names = list(MODELS)
    pairs = [
        Pair(encoder=one, decoder=two, seed=0, encoder_model=one, decoder_model=two, design_gap=None)
        for one, two in product(names, names)
    ]
    gap(
        spec=GapSpec(pairs=tuple(pairs)),
        models=[mixed.models[name] for name in names],
        tokenizers=[mixed.words[name] for name in names],
        passages=[mixed.passages[name][0] for name in names],
        output=tmp_path / "gap.parquet",
    )
    measures = ["kl_encoder_decoder", "kl_decoder_encoder", "entropy_difference"]
    for row in read_table(tmp_path / "gap.parquet", GAP_OF_SEVERAL).to_dict("records"):
        if row["encoder"] == row["decoder"]:
            assert [row[name] for name in measures] == [0, 0, 0]
            assert pd.isna(row["not_available"])
        else:
            assert all(np.isnan(row[name]) for name in measures)
            assert "different tokenizers" in row["not_available"]
    assert len(read_table(tmp_path / "gap.parquet", GAP, GAP.names)) == 9


def test_models_of_one_tokenizer_with_more_places_than_words_can_be_compared(mixed, tmp_path):
    words = load_tokenizer(mixed.words["neox"])
    for number, more in enumerate((0, 5)):
        save_model(tiny("llama", seed=number, vocab_size=len(words) + more), tmp_path / f"m{number}")
    pair = Pair(encoder="m0", decoder="m1", seed=0, encoder_model="m0", decoder_model="m1", design_gap=None)
    gap(
        spec=GapSpec(pairs=(pair,)),
        models=[tmp_path / "m0", tmp_path / "m1"],
        tokenizers=[mixed.words["neox"]] * 2,
        passages=[mixed.passages["neox"][0]] * 2,
        output=tmp_path / "gap.parquet",
    )
    found = read_table(tmp_path / "gap.parquet", GAP).iloc[0]
    one, two = (load_model(tmp_path / name, DEVICE) for name in ("m0", "m1"))
    total, count = 0.0, 0
    passages = read_table(mixed.passages["neox"][0], PASSAGES)
    for own in passages.loc[passages["split"] == "validation", "token_ids"]:
        ids = torch.tensor([[words.bos_token_id, *own[:-1]]])
        with torch.no_grad():
            p, q = (torch.softmax(model(ids).logits[0, :, : len(words)], -1) for model in (one, two))
        total, count = total + float((p * (p / q).log()).sum()), count + len(own)
    assert found["kl_encoder_decoder"] == pytest.approx(total / count, rel=1e-4)


def test_latency_is_timed_by_each_models_own_tokens(mixed, tmp_path):
    spec = LatencySpec(
        sizes=("plain", "neox"), readout="mean_pool", connector="mlp", ratios=(4,), window=WINDOW, windows={"neox": 20}
    )
    measure_latency(
        spec=spec,
        models=[mixed.models[name] for name in spec.sizes],
        tokenizers=[mixed.words[name] for name in spec.sizes],
        output=tmp_path / "latency.csv",
        record=tmp_path / "latency.json",
    )
    assert set(pd.read_csv(tmp_path / "latency.csv")["size"]) == {"plain", "neox"}
