"""A study that asks questions of memories, from its records to finding, table and figure."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from contextpress.reconstruction.table import ANSWERED_FROM, ANSWERS
from contextpress.runtime.tables import read_table
from contextpress.tokens.asked import ASKED
from contextpress.tokens.passages import PASSAGES
from tests.workflow.running import snakemake, would_run, write_yaml

pytestmark = pytest.mark.workflow
FEW = {"steps": 4, "batch": 8, "learning_rate": 0.01}
STUDY = {
    "study": "asked",
    "corpus": {
        "characters": 60_000,
        "mixture_tokens": 4000,
        "document_characters": 1000,
        "domains": [
            {"name": "sums", "kind": "arithmetic"},
            {"name": "chain", "kind": "uniform", "words": 64},
            {"name": "products", "kind": "products"},
        ],
        "natural": ["sums"],
        "formal": ["chain"],
    },
    "tokens": {"passages": {"test": 8, "validation": 4, "ladder": 2}},
    "lm": {"warmup": {"schedule": {**FEW}}, "pretraining": {"schedule": {**FEW}}},
    "compressor": {"encoders": ["D1", "D6"], "decoders": ["D6"], "schedule": FEW},
    "mitigation": {"pairs": [{"encoder": "D1", "decoder": "D6"}], "arms": ["deep_connector"]},
    "analysis": {"claims": {"min_passages": 5, "min_documents": 3, "min_seeds": 1}},
    "probe": {"domain": "products", "records": 8, "questions": 4},
}
TARGETS = [f"results/asked/{name}" for name in ("findings/probe.json", "tables/probe.csv", "figures/probe.png")]


@pytest.fixture(scope="module")
def asked(checkout, tmp_path_factory):
    """A checkout in which the probe has been made, and the study's config."""
    overlay = write_yaml(tmp_path_factory.mktemp("asked") / "mine.yaml", STUDY)
    done = snakemake(checkout, *TARGETS, overlay=overlay)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return checkout, overlay


def test_memories_are_asked_and_it_comes_to_a_finding(asked):
    folder, _ = asked
    results = folder / "results/asked"
    found = json.loads((results / "findings/probe.json").read_text(encoding="utf-8"))
    assert found["verdict"] in ("supported", "contradicted", "inconclusive")
    assert {"effect", "ci95", "n"} <= found.keys()
    assert found["sample"]["passages"] == 8
    assert {name: set(claim) for name, claim in found["claims"].items()} == {
        claim: {"words", "answers", "alike"} for claim in ("c1", "c2", "c3")
    }
    table = pd.read_csv(results / "tables/probe.csv")
    assert set(table["questions"]) == {"all", "stated", "inferred", "lost"}
    assert set(table.loc[table["arm"] == "none", "encoder"]) == {"D1", "D6", "all"}
    # Longer training is tried of the matched pair too.
    assert table.loc[table["arm"] == "longer", "encoder"].unique().tolist() == ["D1", "D6"]
    assert table.loc[table["arm"] == "deep_connector", "encoder"].unique().tolist() == ["D1"]
    questions = read_table(results / "probe/asked.parquet", ASKED)
    passages = read_table(results / "probe/passages.parquet", PASSAGES).set_index("passage_id")
    assert passages["token_ids"].map(len).eq(16).all()  # a window
    for row in questions.itertuples():
        assert row.needs in passages.loc[row.passage_id, "text"]
    files = sorted((results / "probe/answers").glob("*.parquet"))
    assert len(files) == 2 + 3  # the study's, and of arms
    for path in files:
        answers = read_table(path, ANSWERS)
        assert sorted(answers["question_id"].unique()) == sorted(questions["question_id"])
        assert set(answers["answered_from"]) == set(ANSWERED_FROM)
    # Every model reads the records: a quarter of each mixture.
    for mixture in ("D1", "D6"):
        told = json.loads((results / f"tokens/mixtures/{mixture}.json").read_text(encoding="utf-8"))
        assert told["tokens"]["products"] / told["total"] == pytest.approx(0.25, abs=0.01)


def test_only_what_depends_on_it_is_run_again(asked, tmp_path):
    folder, overlay = asked
    before = would_run(folder, overlay)  # what the probe does not need
    assert not {rule for rule in before if rule.startswith("probe")}
    own = {"probe_passages": 1, "probe_score": 3, "probe_model_free": 1, "probe_reconstruct": 5, "probe_answer": 5}
    own |= dict.fromkeys(["probe_observations", "probe_table", "probe"], 1)

    def again(probe: dict) -> dict[str, int]:
        changed = write_yaml(tmp_path / "changed.yaml", STUDY | {"probe": STUDY["probe"] | probe})
        return {rule: count for rule, count in would_run(folder, changed).items() if before.get(rule) != count}

    assert again({"questions": 3}) == own
    told = again({"share": 0.3})
    assert (told["mixture"], told["pretrain"], told["compressor"], told["probe_answer"]) == (2, 3, 5, 5)
    assert "probe_passages" not in told


def test_a_file_of_questions_is_asked_in_their_place(checkout, tmp_path):
    rows = [
        {
            "context": f"The number of house {place} is {place % 9}.",
            "question": "Which number?",
            "answer": f"{place % 9}",
        }
        for place in range(200)
    ]
    path = checkout / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    domains = [*STUDY["corpus"]["domains"][:2], {"name": "mine", "kind": "questions", "path": path.name}]
    study = STUDY | {"study": "mine", "corpus": STUDY["corpus"] | {"domains": domains}}
    overlay = write_yaml(tmp_path / "mine.yaml", study | {"probe": {"domain": "mine", "records": 10}})
    done = snakemake(checkout, "results/mine/probe/asked.parquet", overlay=overlay)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    questions = read_table(checkout / "results/mine/probe/asked.parquet", ASKED)
    assert len(questions) == 10
    assert questions["answer"].str.fullmatch(r" \d").all()
    path.write_text(path.read_text(encoding="utf-8") + '{"question": "q"}\n', encoding="utf-8")
    done = snakemake(checkout, "results/mine/probe/asked.parquet", overlay=overlay)
    assert "mine.jsonl:201: no 'answer'" in done.stdout + done.stderr
