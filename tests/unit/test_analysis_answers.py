"""Answers against the quality of words, on a made-up study in which it is known what memory holds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contextpress.analysis.answer_tables import TABLE, arm_table, probe_table
from contextpress.analysis.answers import ANSWERS as SHARE
from contextpress.analysis.answers import Probe, probe_finding, shares, with_answers
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.join import KEY
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.spec import AskedArm, CompressorDescription, ProbeSpec
from contextpress.cli import main
from contextpress.reconstruction.table import ANSWERED_FROM, ANSWERS, MEASURES, RECONSTRUCTIONS
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import write_table
from contextpress.tokens.asked import ASKED
from contextpress.tokens.passages import PASSAGES
from tests.unit.fake_study import observations

CLAIMS = ClaimsSpec(draws=100, min_passages=20)
QUESTIONS = 8  # of a record; the record states the answer to half of them


def study(memory: float | None = 0.6, text: float = 0.9, nothing: float = 0.1, lost: float = 0.5) -> tuple:
    """Observations, questions, answers and reconstructions; where questions are answered right by chance so often.

    Without ``memory``, as many are answered from it as token F1 says.
    """
    draw = np.random.default_rng(3)
    rows = observations(("D1", "D6"), ("prose",), passages=60, ladder=0, ratios=(4, 8))
    names = rows["passage_id"].unique()
    asked = pd.DataFrame(
        [
            {
                "question_id": f"{name}/q{number}",
                "passage_id": name,
                "asked": f"q{number}",
                "stated": number % 2 == 0,
                "prompt": "\nQ:",
                "answer": " x",
                "needs": f"[{number}]",
                "prompt_ids": [5],
                "answer_ids": [6, 7],
                "majority": number == 0,  # 1/8
                "chance": 0.25,
            }
            for name in names
            for number in range(QUESTIONS)
        ]
    )
    compressors, answers, made = [], [], []
    for key, part in rows.groupby(list(KEY), sort=False):
        own = dict(zip(KEY, key, strict=True))
        models = {"encoder_model": f"{own['encoder']}-s0", "decoder_model": f"{own['decoder']}-s1"}
        compressors.append(CompressorDescription(**own, **models))
        quality = asked["passage_id"].map(part.set_index("passage_id")["token_f1"])
        place = asked.groupby("passage_id").cumcount()
        from_memory = draw.random(len(asked)) < memory if memory is not None else place < np.round(QUESTIONS * quality)
        right = {
            "memory": from_memory,
            "shuffled": draw.random(len(asked)) < 0.05,
            "text": draw.random(len(asked)) < text,
            "nothing": draw.random(len(asked)) < nothing,
        }
        answers.append(
            pd.concat(
                pd.DataFrame(
                    {
                        "question_id": asked["question_id"],
                        "answered_from": source,
                        "right": right[source],
                        "written": "x",
                    }
                )
                for source in ANSWERED_FROM
            )
        )
        kept = draw.random((len(names), QUESTIONS)) >= lost
        words = [" ".join(f"[{number}]" for number in np.flatnonzero(row)) for row in kept]
        real = pd.DataFrame({"passage_id": names, "condition": "real", "reconstruction": words})
        other = real.assign(condition="shuffled", reconstruction="".join(f"[{n}]" for n in range(QUESTIONS)))
        both = pd.concat([real, other]).assign(**dict.fromkeys(MEASURES, 0.5))
        made.append(both.assign(token_ids=[[1]] * len(both)))
    return rows, asked, answers, made, ProbeSpec(compressors=tuple(compressors), claims=CLAIMS)


@pytest.fixture(scope="module")
def planted():
    return study()


@pytest.fixture(scope="module")
def probe(planted):
    return Probe.of(with_answers(*planted), CLAIMS)


def by_hand(planted) -> pd.DataFrame:
    """One row per question and compressor, by another way than the one tested."""
    rows, asked, answers, made, spec = planted
    parts = []
    for described, given, texts in zip(spec.compressors, answers, made, strict=True):
        real = texts[texts["condition"] == "real"].set_index("passage_id")["reconstruction"]
        wide = given.pivot_table(index="question_id", columns="answered_from", values="right", aggfunc="all")
        part = asked.merge(wide.reset_index(), on="question_id")
        part["lost"] = [needs not in real[name] for needs, name in zip(part["needs"], part["passage_id"], strict=True)]
        keys = {name: getattr(described, name) for name in KEY}
        parts.append(part.assign(**keys))
    every = pd.concat(parts, ignore_index=True)
    return every.merge(rows[["passage_id", *KEY, "token_f1", "encoder_bucket"]], on=["passage_id", *KEY])


def test_questions_are_counted_by_kind_and_base(planted):
    counted, hand = with_answers(*planted), by_hand(planted)
    assert len(counted) == len(planted[0])
    keys = ["passage_id", *KEY]
    wanted = hand.groupby(keys).agg(
        memory_all=("memory", "sum"), asked_lost=("lost", "sum"), majority_all=("majority", "sum")
    )
    wanted["text_lost"] = hand[hand["lost"]].groupby(keys)["text"].sum().reindex(wanted.index, fill_value=0)
    wanted["memory_inferred"] = hand[~hand["stated"]].groupby(keys)["memory"].sum()
    found = counted.set_index(keys)
    for name in wanted:
        np.testing.assert_allclose(found.loc[wanted.index, name], wanted[name].astype(float), err_msg=name)
    assert (found["asked_stated"] == QUESTIONS / 2).all()
    np.testing.assert_allclose(found["chance_all"], QUESTIONS * 0.25)
    np.testing.assert_allclose(found.loc[wanted.index, SHARE], wanted["memory_all"] / QUESTIONS)


def test_a_question_that_needs_the_whole_record_is_lost_unless_all_of_it_is_reproduced(planted):
    rows, asked, answers, made, spec = planted
    exact = [frame.assign(exact_match=(np.arange(len(frame)) % 2).astype(float)) for frame in made]
    counted = with_answers(rows, asked.assign(needs=""), answers, exact, spec).set_index(["passage_id", *KEY])
    described = spec.compressors[0]
    for frame in exact[0][exact[0]["condition"] == "real"].itertuples():
        key = (frame.passage_id, *(getattr(described, name) for name in KEY))
        assert counted.loc[key, "asked_lost"] == (0 if frame.exact_match else QUESTIONS)


def test_a_question_without_an_answer_is_told(planted):
    rows, asked, answers, made, spec = planted
    with pytest.raises(UserError, match=r"answers of D1-D1-.*: not every question has one from memory, shuffled, text"):
        with_answers(rows, asked, [answers[0].iloc[1:], *answers[1:]], made, spec)


def test_the_table_holds_shares_of_right_answers(planted, probe):
    table, hand = probe_table(probe), by_hand(planted)
    assert list(table.columns) == TABLE
    cells = table.set_index(["encoder", "decoder", "ratio", "questions", "bucket"])
    stated, lost = hand["stated"], hand["lost"]
    members = {"all": stated | ~stated, "stated": stated, "inferred": ~stated, "lost": lost}
    for pair in (("D1", "D6"), ("all", "all")):
        for ratio in (4, "all") if pair[0] == "all" else (4, 8):
            for kind in ("all", "stated", "inferred", "lost"):
                chosen = hand[members[kind]]
                if pair[0] != "all":
                    chosen = chosen[(chosen["encoder"] == pair[0]) & (chosen["decoder"] == pair[1])]
                if ratio != "all":
                    chosen = chosen[chosen["ratio"] == ratio]
                cell = cells.loc[(*pair, ratio, kind, "all")]
                of_compressors = chosen.groupby(list(KEY))[[*ANSWERED_FROM, "majority", "chance"]].mean()
                for base, value in of_compressors.mean().items():
                    assert cell[base] == pytest.approx(value), (pair, ratio, kind, base)
                means = of_compressors.mean()
                kept = (means["memory"] - means["nothing"]) / (means["text"] - means["nothing"])
                assert cell["kept"] == pytest.approx(kept)
                assert cell["asked"] == pytest.approx(len(chosen) / len(of_compressors))
                assert cell["ci95_low"] < cell["memory"] < cell["ci95_high"]
    low = hand[
        (hand["encoder"] == "D1") & (hand["decoder"] == "D6") & (hand["ratio"] == 8) & (hand["encoder_bucket"] == 0)
    ]
    cell = cells.loc[("D1", "D6", 8, "all", 0)]
    assert cell["memory"] == pytest.approx(low.groupby("seed")["memory"].mean().mean())
    records = low.drop_duplicates(["passage_id", "seed"]).groupby("seed")
    assert cell["words"] == pytest.approx(records["token_f1"].mean().mean())
    assert cell["records"] == pytest.approx(records.size().mean())


def records_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The passages of some observations, with the schema PASSAGES."""
    named = rows.drop_duplicates("passage_id")
    own = {"split": "test", "start": 0, "text": "x", "token_ids": [[1]] * len(named)}
    return named.assign(**own).astype({"start": "int32"})[PASSAGES.names]


def test_arms_are_asked_as_the_study_is(planted, probe):
    """The study's own compressors, taken for two arms: each has the numbers that the table gives its pair."""
    rows, asked, answers, made, spec = planted
    # What is known of a record's words comes from the reconstructions, which here say nothing of them.
    real = [frame.assign(token_f1=0.25) for frame in made]
    arms = [
        AskedArm(arm="one" if one.seed else "two", **one.model_dump(include=set(AskedArm.model_fields) - {"arm"}))
        for one in spec.compressors
    ]
    table = arm_table(records_of(rows), asked, answers, real, arms, probe.claims)
    assert list(table.columns) == TABLE
    assert set(table["arm"]) == {"one", "two"}
    assert (table["words"] == 0.25).all()
    assert len(table) == 2 * 4 * 2 * 4  # arms, pairs, ratios, kinds
    keys = ["encoder", "decoder", "ratio", "questions"]
    study = probe_table(probe)
    own = study[(study["bucket"] == "all") & (study["encoder"] != "all")].set_index(keys)
    both = table.groupby(keys)[["memory", "text", "nothing", "shuffled", "asked"]].mean()
    np.testing.assert_allclose(both, own.loc[both.index, both.columns].astype(float))
    assert arm_table(records_of(rows), asked, [], [], [], probe.claims).empty


def test_shares_on_a_draw_are_those_of_repeated_records(probe):
    weights = np.zeros((len(probe.panel.passages), 1))
    weights[[3, 7]] = [[2.0], [1.0]]
    found = shares(probe.panel, weights, "text", "lost")[:, 0]
    right, asked = probe.panel.values("text_lost"), probe.panel.values("asked_lost")
    np.testing.assert_allclose(found, (2 * right[3] + right[7]) / (2 * asked[3] + asked[7]))


def test_correlations_are_those_of_scipy(planted):
    found = probe_finding(Probe.of(with_answers(*study(memory=None)), CLAIMS))["correlation"]
    rows = with_answers(*study(memory=None))
    within = [stats.spearmanr(part["token_f1"], part[SHARE]).statistic for _, part in rows.groupby(list(KEY))]
    assert found["over_records"]["value"] == pytest.approx(np.mean(within), abs=1e-5)
    assert found["over_records"]["value"] > 0.9
    means = rows.groupby(list(KEY))[["token_f1", SHARE]].mean()
    wanted = stats.spearmanr(means["token_f1"], means[SHARE]).statistic
    assert found["over_compressors"]["value"] == pytest.approx(wanted, abs=1e-5)
    assert found["over_compressors"]["compressors"] == 16
    inside = [stats.spearmanr(part["token_f1"], part[SHARE]).statistic for _, part in means.groupby("ratio")]
    assert found["over_compressors_within_setting"]["value"] == pytest.approx(np.mean(inside), abs=1e-5)


def test_tenths_by_quality_hold_as_many_records_each(planted, probe):
    found = probe_finding(probe)["by_quality"]
    hand = by_hand(planted)
    records = len(probe.panel.passages) * len(probe.panel.compressors)
    assert sum(one["records"] for one in found) == records
    assert {one["records"] for one in found} == {records // 10}
    assert [one["quality"] for one in found] == sorted(one["quality"] for one in found)
    lowest = hand[hand["token_f1"] < np.quantile(probe.words, 0.1)]
    # The mean over those compressors that have records in it.
    wanted = lowest.groupby(list(KEY))["memory"].mean().mean()
    assert found[0]["value"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("how", "verdict", "reason"),
    [
        ({}, "supported", "the difference is positive, in every seed"),
        ({"memory": 0.13}, "contradicted", "a difference as large as 0.02 is ruled out in either direction"),
        ({"memory": 0.02}, "contradicted", "less than what is answered without it"),
        ({"text": 0.1}, "inconclusive", "the full text does not help to answer these questions either"),
        ({"lost": 0.0}, "inconclusive", "the words of no question are lost"),
    ],
)
def test_the_verdict_follows_what_is_known_where_words_are_lost(how, verdict, reason):
    found = probe_finding(Probe.of(with_answers(*study(**how)), CLAIMS))
    assert (found["verdict"], reason in found["reason"]) == (verdict, True), found["reason"]
    if "lost" not in how:
        # The most frequent answer is right for one of eight questions, more than what is said of nothing.
        assert found["effect"] == pytest.approx(how.get("memory", 0.6) - 1 / 8, abs=0.02)
        assert found["ci95"][0] < found["effect"] < found["ci95"][1]
        assert found["n"] == pytest.approx(16 * 60 * QUESTIONS / 2, rel=0.05)


def test_answers_that_follow_the_words_have_the_claims_of_the_words():
    rows, asked, answers, made, spec = study(memory=None)
    found = probe_finding(Probe.of(with_answers(rows, asked, answers, made, spec), CLAIMS))["claims"]
    for name, claim in found.items():
        assert claim["alike"] == (claim["words"]["verdict"] == claim["answers"]["verdict"])
        assert claim["answers"]["effect"] == pytest.approx(claim["words"]["effect"], abs=0.05), name
    assert found["c1"]["words"]["verdict"] == "supported"
    assert found["c1"]["alike"]
    assert "answers" in found["c1"]["answers"]["effect_name"]
    # And answers that have nothing to do with them have not.
    other = probe_finding(Probe.of(with_answers(*study()), CLAIMS))["claims"]
    assert other["c1"]["answers"]["verdict"] != "supported"
    assert not other["c1"]["alike"]


def test_a_study_in_which_no_memory_is_used_gets_no_verdict(planted):
    rows, *rest = planted
    probe = Probe.of(with_answers(rows.assign(memory_used=False), *rest), CLAIMS)
    found = probe_finding(probe)
    assert (found["verdict"], found["effect"]) == ("inconclusive", None)
    assert "no compressor of the study uses its memory" in found["reason"]
    assert probe_table(probe).empty


def test_the_steps_write_finding_table_and_figure(planted, tmp_path):
    rows, asked, answers, made, spec = planted
    paths = {name: tmp_path / f"{name}.parquet" for name in ("observations", "passages", "asked")}
    write_table(paths["passages"], records_of(rows), PASSAGES)
    write_table(paths["observations"], rows, OBSERVATIONS)
    write_table(paths["asked"], asked, ASKED)
    for place, (given, texts) in enumerate(zip(answers, made, strict=True)):
        write_table(tmp_path / f"a{place}.parquet", given, ANSWERS)
        write_table(tmp_path / f"r{place}.parquet", texts, RECONSTRUCTIONS)
    several = {
        f"--{name}": [str(tmp_path / f"{name[0]}{place}.parquet") for place in range(len(answers))]
        for name in ("answers", "reconstructions")
    }
    # The last of them is an arm's, of which nobody else knows.
    arm = AskedArm(arm="longer", **spec.compressors[-1].model_dump(include=set(AskedArm.model_fields) - {"arm"}))
    spec = spec.model_copy(update={"compressors": spec.compressors[:-1], "arms": (arm,)})
    command = ["analysis", "probe", "--spec", spec.line(), "--finding", str(tmp_path / "probe.json")]
    command += ["--table", str(tmp_path / "probe.csv")]
    command += [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    assert main([*command, *(word for name, files in several.items() for word in (name, *files))]) == 0
    found = json.loads((tmp_path / "probe.json").read_text())
    assert {"effect", "ci95", "n", "verdict", "rule", "claims", "correlation"} <= found.keys()
    assert found["sample"]["compressors"] == 15
    assert set(pd.read_csv(tmp_path / "probe.csv")["arm"]) == {"none", "longer"}
    drawn = {kind: tmp_path / f"probe.{kind}" for kind in ("pdf", "svg", "png", "caption")}
    figure = ["figures", "probe", "--spec", '{"style": {"dpi": 60}}', "--finding", str(tmp_path / "probe.json")]
    figure += ["--table", str(tmp_path / "probe.csv"), *(w for k, path in drawn.items() for w in (f"--{k}", str(path)))]
    assert main(figure) == 0
    once = {kind: path.read_bytes() for kind, path in drawn.items()}
    assert main(figure) == 0
    assert {kind: path.read_bytes() for kind, path in drawn.items()} == once
    assert "60 records" in drawn["caption"].read_text()
