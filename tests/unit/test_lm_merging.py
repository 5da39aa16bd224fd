"""Merged models: against a direct computation on the files; what cannot be merged."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from contextpress.cli import main
from contextpress.lm.folder import load_model, save_model
from contextpress.lm.merging import coefficients, merge
from contextpress.runtime.errors import UserError
from tests.unit.models import tiny


def run(folder, rule, *models):
    spec = json.dumps({"name": "merged", "models": ["one", "two"], "rule": rule})
    record = str(folder / "record.json")
    return main(
        ["lm", "merge", "--spec", spec, "--models", *map(str, models), "--output", str(folder), "--record", record]
    )


@pytest.fixture
def two(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for place, folder in enumerate(folders):
        model = tiny("llama-grouped", seed=place, tie_word_embeddings=True)
        with torch.no_grad():
            for parameter in model.parameters():  # norms that differ much, each in its own way
                parameter.mul_(
                    1 + 3 * place * torch.rand(1, generator=torch.Generator().manual_seed(parameter.numel()))
                )
        save_model(model, folder)
    return folders


@pytest.mark.parametrize("rule", ["average", "nan_tensors", "nan_model"])
def test_a_merged_model_is_the_weighted_mean_of_the_files(rule, two, tmp_path):
    assert run(tmp_path / "merged", rule, *two) == 0
    one, other = (
        {name: array.astype(np.float64) for name, array in load_file(folder / "model.safetensors").items()}
        for folder in two
    )
    merged = load_file(tmp_path / "merged/model.safetensors")
    assert merged.keys() == one.keys() == other.keys()
    whole = [math.sqrt(sum(float((array**2).sum()) for array in own.values())) for own in (one, other)]
    for name, array in merged.items():
        norms = whole if rule == "nan_model" else [math.sqrt(float((own[name] ** 2).sum())) for own in (one, other)]
        share = 0.5 if rule == "average" else norms[1] / (norms[0] + norms[1])  # (1/a) / (1/a + 1/b) = b / (a + b)
        expected = share * one[name] + (1 - share) * other[name]
        np.testing.assert_allclose(array, expected, rtol=2e-7, atol=1e-9)
    told = json.loads((tmp_path / "merged/record.json").read_text())["shares"]
    assert told.keys() == one.keys()
    assert (len({tuple(each) for each in told.values()}) > 1) == (rule == "nan_tensors")
    load_model(tmp_path / "merged", torch.device("cpu"))  # an ordinary folder


def test_a_model_merged_with_itself_is_itself():
    for rule in ("average", "nan_tensors", "nan_model"):
        model, wanted = tiny("llama"), tiny("llama").state_dict()
        merge([model, tiny("llama"), tiny("llama")], ["a", "b", "c"], rule)
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(weight, wanted[name], rtol=2e-7, atol=0)


@given(norms=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5))
def test_coefficients_are_inverse_to_norms_and_sum_to_one(norms):
    shares = coefficients(norms)
    assert math.isclose(sum(shares), 1)
    assert all(math.isclose(share * norm, shares[0] * norms[0]) for share, norm in zip(shares, norms, strict=True))


def test_weights_that_are_all_zero_have_all_of_it():
    assert coefficients([0.0, 2.0]) == [1.0, 0.0]
    assert coefficients([0.0, 0.0]) == [0.5, 0.5]
    assert coefficients([1e-300, 1.0])[0] == 1  # as in the limit


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"intermediate_size": 52}, "weight model.layers.0.mlp.down_proj.weight is [32, 48] in the first, [32, 52]"),
        ({"num_hidden_layers": 1}, "model.layers.1.input_layernorm.weight is [32] in the first, not there"),
        ({"vocab_size": 62}, "weight lm_head.weight is [61, 32] in the first, [62, 32]"),
        ({"num_attention_heads": 8}, "num_attention_heads is 4 in the first, 8"),
    ],
)
def test_models_of_unequal_shapes_are_refused(changes, told):
    with pytest.raises(UserError, match="models here and there cannot be merged") as caught:
        merge([tiny("llama"), tiny("llama", **changes)], ["here", "there"], "average")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_of_unequal_kinds_are_refused_in_one_line(tmp_path, capsys):
    for family in ("llama", "gpt-neox"):
        save_model(tiny(family), tmp_path / family)
    assert run(tmp_path / "merged", "average", tmp_path / "llama", tmp_path / "gpt-neox") == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("contextpress: ")]
    assert len(told) == 1
    assert "cannot be merged: model_type is llama in the first, gpt_neox in the second" in told[0]
    assert not (tmp_path / "merged/model.safetensors").exists()
