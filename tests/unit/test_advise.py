"""Advice on a text, run in process on a study of tiny models and a made-up table."""

from __future__ import annotations

import io
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.predictor import predictor
from contextpress.analysis.spec import PredictorSpec, RoleModel
from contextpress.cli import main
from contextpress.entropy.score import score_tokens
from contextpress.lm.folder import load_model
from contextpress.runtime.files import read_json, write_json
from contextpress.tokens.tokenizer import load_tokenizer
from tests.unit.fake_study import observations
from tests.unit.models import tiny_study

TEXT = "a few words, and some more of them to train on, and some more"
WINDOW = 8
ROLES = (("encoder", "D1", "one"), ("encoder", "D6", "two"), ("decoder", "D1", "two"), ("decoder", "D6", "one"))


def finding() -> dict:
    """Of a study that saw every entropy, in passages of eight tokens; quality falls from 1 as the ratio rises."""
    rows = observations(("D1", "D6"), ("prose", "code"), 60, ladder=0, ratios=(2, 4), seeds=(0,))
    draw = np.random.default_rng(5)
    rows = rows.assign(tokens=WINDOW, encoder_nll=draw.uniform(0, 40, len(rows)))
    rows["decoder_nll"] = draw.uniform(0, 40, len(rows))
    fall = 0.03 * rows["ratio"] + 0.004 * rows["encoder_nll"] + 0.002 * rows["decoder_nll"]
    spec = PredictorSpec(
        measures=("token_f1", "bleu"),
        roles=tuple(RoleModel(side=side, name=name, seed=0, model=model) for side, name, model in ROLES),
        claims=ClaimsSpec(min_seeds=1),
    )
    rows = rows.assign(token_f1=0.99 - fall + draw.uniform(0, 0.01, len(rows)), bleu=90 - 100 * fall)
    return predictor(rows, {"one": 10, "two": 10}, spec)[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "results/tried"
    tiny_study(folder)
    write_json(folder / "findings/predictor.json", finding())
    return folder


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "a.txt").write_text(TEXT)
    return tmp_path / "a.txt"


def advise(*arguments: object) -> int:
    return main(["advise", *map(str, arguments)])


def told(capsys, *arguments: object) -> dict:
    assert advise(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_entropy_and_prediction_are_those_of_the_study(made, text, capsys):
    found = told(capsys, text, "--study", made, "--target", 0.6)
    assert (found["encoder"], found["decoder"], found["readout"]) == ("D1", "D1", "memory_tokens")
    tokenizer = load_tokenizer(made / "tokens/tokenizer")
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert len(ids) % WINDOW and found["tokens"] == len(ids)
    starts = [chunk["start"] for chunk in found["chunks"]]
    assert starts == [*range(0, len(ids) - WINDOW, WINDOW), len(ids) - WINDOW]
    rows = torch.tensor([ids[start : start + WINDOW] for start in starts])
    entropies = {}
    for side, model in (("encoder", "one"), ("decoder", "two")):
        loaded = load_model(made / "lm" / model, torch.device("cpu"))
        entropies[side] = score_tokens(loaded, rows, tokenizer.bos_token_id)["nll"].mean(1).tolist()
        assert [chunk[f"{side}_nll"] for chunk in found["chunks"]] == pytest.approx(entropies[side])
    model = read_json(made / "findings/predictor.json")["predictor"]
    b = {term["name"]: term["coefficient"] for term in model["measures"]["token_f1"]["terms"]}
    (seen,) = (one for one in model["seen"] if (one["encoder"], one["decoder"], one["ratio"]) == ("D1", "D1", 4))
    (band,) = (x for x in model["measures"]["token_f1"]["bands"] if (x["ratio"], x["level"]) == (4, 0.9))
    for chunk, encoder, decoder in zip(found["chunks"], entropies["encoder"], entropies["decoder"], strict=True):
        merit = b["intercept"] + 2 * b["log2(ratio)"]
        merit += b["ln(1 + encoder_nll)"] * np.log(1 + encoder) + b["ln(1 + decoder_nll)"] * np.log(1 + decoder)
        merit += sum(b.get(gap, 0) * seen[gap] for gap in ("gap_kl_encoder_decoder", "gap_entropy_difference"))
        share = 1 / (1 + np.exp(-merit))
        ends = [min(1, share + band[end] * (share * (1 - share)) ** 0.5) for end in ("low", "high")]
        assert chunk["predicted"]["4"] == pytest.approx([share, *ends], rel=1e-4)
        enough = [int(ratio) for ratio, (_, low, _) in chunk["predicted"].items() if low >= 0.6]
        assert chunk["largest_ratio"] == max(enough, default=None)
    assert all(one["predicted"]["2"][0] >= one["predicted"]["4"][0] for one in found["chunks"])


def test_a_higher_target_is_met_less_often(made, text, capsys):
    found = [told(capsys, text, "--study", made, "--target", target) for target in (0.5, 0.7, 0.9, 0.99)]
    met = [one["met"] for one in found]
    assert all(one[ratio] >= other[ratio] for one, other in pairwise(met) for ratio in ("2", "4"))
    assert set(met[0].values()) == {len(found[0]["chunks"])} and set(met[-1].values()) == {0}


def test_other_models_and_measures_are_taken_when_asked_for(made, text, capsys):
    one = told(capsys, text, "--study", made, "--encoder", "D6", "--measure", "bleu")
    assert (one["encoder"], one["decoder"]) == ("D6", "D6")  # its namesake, not the first
    other = told(capsys, text, "--study", made, "--encoder", "D6", "--decoder", "D1")
    assert [chunk["encoder_nll"] for chunk in one["chunks"]] == [chunk["encoder_nll"] for chunk in other["chunks"]]
    assert one["chunks"][0]["decoder_nll"] != other["chunks"][0]["decoder_nll"]
    assert one["chunks"][0]["predicted"]["2"][0] > 1 > other["chunks"][0]["predicted"]["2"][0]


def test_the_table_holds_what_the_json_holds_and_standard_input_gives_the_same(made, text, capsys, monkeypatch):
    found = told(capsys, text, "--study", made, "--target", 0.6)
    assert advise(text, "--study", made, "--target", 0.6) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "-" in line.split(" ")[0] and line[0].isdigit()]
    assert len(rows) == len(found["chunks"])
    mean, low, high = found["chunks"][0]["predicted"]["4"]
    assert f"{mean:.2f} [{low:.2f}, {high:.2f}]" in rows[0]
    assert f"At ratio 4 {found['met']['4']} of {len(rows)} windows meet 0.6." in lines
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert advise("--study", made, "--target", 0.6) == 0
    assert capsys.readouterr().out.splitlines()[1:] == lines[1:]


def test_nothing_is_predicted_of_what_the_study_did_not_see(made, text, tmp_path, capsys):
    study = tmp_path / "narrow"
    study.mkdir()
    for part in ("lm", "tokens"):
        (study / part).symlink_to(made / part)
    changed = read_json(made / "findings/predictor.json")
    nll = [chunk["encoder_nll"] for chunk in told(capsys, text, "--study", made)["chunks"]]
    middle = float(np.median(nll))
    for one in changed["predictor"]["seen"]:
        one["encoder_nll"] = [0, middle]
    write_json(study / "findings/predictor.json", changed | {"answer": "not calibrated"})
    chunks = told(capsys, text, "--study", study, "--target", 0.5)["chunks"]
    assert [chunk["outside"] is None for chunk in chunks] == [value <= middle for value in nll]
    assert [bool(chunk["predicted"]) for chunk in chunks] == [value <= middle for value in nll]
    assert advise(text, "--study", study, "--plot", tmp_path / "p.png") == 0
    said = capsys.readouterr().out
    assert f"encoder entropy {max(nll):.2f}, seen 0.00 to {middle:.2f}" in said
    assert "not calibrated by its own rule" in said
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_text_shorter_than_a_window_is_told_so(made, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a few")
    (chunk,) = told(capsys, tmp_path / "a.txt", "--study", made)["chunks"]
    assert chunk["outside"] == f"{chunk['tokens']} tokens, seen 8" and not chunk["predicted"]


def test_the_same_plot_has_the_same_bytes(made, text, tmp_path, capsys):
    for name in ("one.png", "two.png"):
        assert advise(text, "--study", made, "--plot", tmp_path / name) == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (b" \n", (), "a.txt is empty"),
        (b"one\0two", (), "a.txt is binary (a zero byte at offset 3)"),
        ("Käse".encode("latin-1"), (), "a.txt is not UTF-8"),
        (None, (), "a.txt cannot be read: No such file or directory"),
        (b"text", ("--target", "1.5"), "--target is 1.5: a share above 0 and below 1"),
        (b"text", ("--target", "nan"), "--target is nan"),
        (b"text", ("--plot", "a.pdf"), "a name that ends in .png is wanted"),
        (b"text", ("--encoder", "D2"), "--encoder D2 is not of this study's predictor; there are: D1, D6"),
        (b"text", ("--measure", "nll"), "--measure nll is not of this study's predictor; there are: bleu, token_f1"),
        (b"text", ("--study", "."), "it has no findings/predictor.json"),
    ],
)
def test_mistakes_are_told_in_one_line(made, tmp_path, capsys, data, options, says):
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    assert advise(tmp_path / "a.txt", "--study", made, *options) == 2
    out, line = capsys.readouterr()
    assert out == "" and says in line
    assert line.startswith("contextpress: ") and line.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"predictor": null, "reason": "48 passages"}', "has no predictor: 48 passages"),
        ("[]", "holds no predictor"),
        ('{"predictor": {"window": 8}}', "holds no predictor"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_study_without_a_predictor_is_told(text, tmp_path, capsys, content, says):
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings/predictor.json").write_text(content)
    assert advise(text, "--study", tmp_path) == 2
    out, line = capsys.readouterr()
    assert out == "" and says in line and line.count("\n") == 1
