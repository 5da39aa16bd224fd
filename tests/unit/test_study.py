"""The configuration: one source of truth, written out twice, and presets and specs that follow from it."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from contextpress import settings
from contextpress.corpus.spec import Embedded, Markov
from contextpress.mitigations import Mitigations
from contextpress.plan import Plan
from contextpress.probe import Probe
from contextpress.runtime.errors import UserError
from contextpress.runtime.spec import Spec
from contextpress.study import Study
from contextpress.tokens.spec import QuestionsSpec, TokenizerSpec

CONFIG = Path(__file__).resolve().parents[2] / "config"
PRESETS = sorted((CONFIG / "presets").glob("*.yaml"))


def merged(*files: Path) -> dict:
    """Configs on top of each other, as Snakemake lays them: section by section, lists replaced."""
    from snakemake.utils import update_config

    config: dict = {}
    for file in files:
        update_config(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    return config


# -- what is written out


def test_the_default_config_is_the_model_written_out():
    assert (CONFIG / "config.yaml").read_text(encoding="utf-8") == settings.default_config()


def test_the_default_config_reads_back_as_the_defaults():
    assert Study.read(yaml.safe_load(settings.default_config())) == Study() == Study.read({})


def test_the_schema_is_the_model_written_out():
    assert (CONFIG / "schema.json").read_text(encoding="utf-8") == settings.schema()


def test_the_table_of_keys_is_the_model_written_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    settings.write()
    for name in ("config.yaml", "schema.json", "keys.md"):
        assert (tmp_path / "config" / name).read_bytes() == (CONFIG / name).read_bytes()


def test_the_table_has_every_key_with_what_is_allowed():
    rows = re.findall(r"^\| `(.+?)` \| (.*) \| (.+) \| (.+) \|$", settings.keys(), re.MULTILINE)
    table = {key: (default, allowed) for key, default, allowed, _ in rows}
    assert len(table) == len(rows)
    # The default config names all keys but those of the entries of lists.
    written = re.findall(r"^ *([a-z0-9_]+): [^ ]", settings.default_config(), re.MULTILINE)
    plain = [key.rpartition(".")[2] for key in table if "[" not in key]
    assert sorted(plain) == sorted([*written, "domains", "shapes", "models", "doses"])
    assert table["corpus.test"] == ("`0.1`", "number, above 0, below 0.5")
    assert table["compressor.connector"] == ("`mlp`", "`linear`, `mlp`, `deep`, `alignment`")
    assert table["compressor.domains"] == ("empty", "section of number by name or empty")
    assert table["corpus.domains[markov].words"] == ("`64`", "whole number, at least 2, at most 499")
    assert table["lm.warmup.schedule.steps"] == ("`500`", "whole number, above 0")
    assert table["lm.shapes[].layers"] == ("`2`", "whole number, above 0")
    assert table["analysis.claims.c2.predictor"][0] == "`decoder_nll`"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_a_valid_study_of_its_own_name(preset):
    plan = Plan(merged(CONFIG / "config.yaml", preset))
    assert plan.jobs
    assert plan.models
    assert plan.study.study == preset.stem
    assert Plan(merged(preset)).study == plan.study  # config.yaml holds defaults only


def test_there_is_a_smoke_preset():
    assert "smoke" in [preset.stem for preset in PRESETS]


# -- what is explained


def reachable(annotation: object) -> set[type[Spec]]:
    """All specs that a type mentions, and those of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return {annotation}.union(*(reachable(kind) for kind in typing.get_type_hints(annotation).values()))
    return set().union(*(reachable(part) for part in typing.get_args(annotation)))


def one_value(annotation: object) -> bool:
    return typing.get_origin(annotation) is typing.Literal and len(typing.get_args(annotation)) == 1


def test_the_search_for_specs_reaches_deep():
    names = {spec.__name__ for spec in reachable(Study)}
    assert names >= {"Study", "Schedule", "Style", "Embedded", "LocalFiles", "Markov", "ModelConfig", "ClaimsSpec"}


@pytest.mark.parametrize(
    "spec", sorted(reachable(Study), key=lambda spec: spec.__name__), ids=lambda spec: spec.__name__
)
def test_every_key_is_explained(spec):
    assert spec.__doc__
    assert spec.__doc__ != BaseModel.__doc__
    for name, field in spec.model_fields.items():
        section = isinstance(field.annotation, type) and issubclass(field.annotation, Spec)
        # A section is explained by its class; a key of one value by what it says.
        plain = section or one_value(field.annotation)
        assert field.description or plain, f"{spec.__name__}.{name}"


# -- what follows from it


def every_spec(plan: Plan) -> list[Spec]:
    pretrained = [name for name, model in plan.models.items() if model.config.pretrain]
    return [
        *(plan.study, plan.config()),
        *([plan.harvest] if plan.harvest else []),
        *(plan.domain(name) for name in plan.domains),
        *(plan.mixture(plan.models[name].config.pretrain) for name in pretrained),
        *(plan.warmup(plan.models[name].config.shape) for name in pretrained),
        *(plan.pretrain(plan.models[name]) for name in pretrained),
        *(plan.load(name) for name in plan.models if name not in pretrained),
        *(plan.own_tokenizer(name) for name in plan.own),
        *(plan.own_tokens(name) for name in plan.own),
        *(plan.score(name) for name in plan.models),
        plan.gap(),
        plan.latency(),
        *(plan.compressor(name) for name in plan.jobs),
        plan.reconstruction(),
        *(plan.cramming(name) for name in plan.decoders),
        *(plan.cramming_analysis(), plan.cramming_figure(), plan.predictor()),
        plan.specification(),
        *(plan.calibration_chunk(name) for name in plan.study.analysis.calibration.chunks()),
        *(
            plan.observations(),
            plan.measure_figure(),
            plan.claim_figure(),
            plan.table_figure(),
            plan.learning_figure(),
            plan.summary(),
            plan.explorer(),
            plan.cards(),
        ),
        *of_probe(plan),
    ]


def of_probe(plan: Plan) -> list[Spec]:
    if not plan.study.probe.domain:
        return []
    probe = Probe(plan, plan.study.probe.domain, Mitigations(plan).cells)
    return [probe.questions(), probe.passages(), probe.analysis()]


LOADED = {
    "tokens": {"tokenizer": {"load": "some/model"}},
    "lm": {"models": [{"name": "A", "load": "some/model"}, {"name": "B", "load": "some/model", "revision": "abc"}]},
    "compressor": {"encoders": ["A"], "decoders": ["A", "B"]},
}
# One pretrained, one that is read in its own tokens with the window by default, and one with another.
OWN = {
    "lm": {
        "models": [
            {"name": "D1", "pretrain": "D1"},
            {"name": "A", "load": "some/model", "tokenizer": "own"},
            {"name": "B", "load": "other/model", "revision": "abc", "tokenizer": "own", "window": 70},
        ]
    },
    "compressor": {"encoders": ["D1", "A"], "decoders": ["A", "B"]},
    "analysis": {"claims": {"c2": {"predictor": "decoder_bits_per_byte"}}},
}
ASKING = {
    "corpus": {
        "domains": [{"name": name, "kind": kind} for name, kind in (("sums", "arithmetic"), ("goods", "products"))]
        + [{"name": "prose", "kind": "embedded"}],
        "formal": ["sums"],
    },
    "probe": {"domain": "goods", "share": 0.2, "records": 50},
}
STUDIES = [{}, *(merged(preset) for preset in PRESETS), LOADED, OWN, ASKING]


@pytest.mark.parametrize(
    "config", STUDIES, ids=["default", *(preset.stem for preset in PRESETS), "loaded", "own", "asking"]
)
def test_every_spec_survives_its_journey_to_a_command(config):
    for spec in every_spec(Plan(config)):
        line = spec.line()
        assert "\n" not in line
        assert type(spec).read(json.loads(line)) == spec


@pytest.mark.parametrize(
    "config", STUDIES, ids=["default", *(preset.stem for preset in PRESETS), "loaded", "own", "asking"]
)
def test_the_stored_config_is_the_study_but_for_what_changes_no_result(config):
    beside = {"gpus": 1, "analysis": {**config.get("analysis", {}), "calibration": {"draws": 60}}}
    stored = Plan(config | beside).config().config
    assert "gpus" not in stored
    assert "calibration" not in stored["analysis"]
    kept = {key: value for key, value in config.items() if key != "gpus"}
    analysis = {key: value for key, value in config.get("analysis", {}).items() if key != "calibration"}
    assert Study.read(stored) == Plan(kept | {"analysis": analysis}).study


def test_specs_name_windows_only_where_a_model_has_a_tokenizer_of_its_own():
    own, plain = Plan({"seeds": [0]} | OWN), Plan({"seeds": [0]} | LOADED)
    assert own.own == {"A": 48, "B": 70}
    lines = {name: own.compressor(name).line() for name in own.jobs}
    assert '"encoder_window":48,"decoder_window":70' in lines["A-B-mean_pool-r2-s0"]
    assert '"seed":0,"decoder_window":70' in lines["D1-B-mean_pool-r2-s0"]
    # A passage, 16 vectors, two marks; of 70 tokens 5 a vector, which are 80 with what is filled in.
    assert [own.load(name).positions for name in "AB"] == [48 + 16 + 2, 80 + 16 + 2]
    assert own.own_tokenizer("B") == TokenizerSpec(load="other/model", revision="abc")
    assert plain.own == {}
    for spec in every_spec(plain)[1:]:
        assert not {key for key in json.loads(spec.line()) if key.endswith(("windows", "er_window"))}


def test_a_probe_takes_its_share_of_every_mixture_and_changes_no_other_spec():
    plain = {key: value for key, value in ASKING.items() if key != "probe"}
    off, on = Plan(plain | {"probe": {"share": 0.2, "records": 50}}), Plan(ASKING)
    assert off.mixture("D1").weights == Plan(plain).mixture("D1").weights == {"prose": 1.0}
    assert on.mixture("D1").weights == {"prose": 0.8, "goods": 0.2}
    found = on.mixture("D4").weights
    assert found == pytest.approx({"prose": 0.4, "sums": 0.4, "goods": 0.2})
    assert list(found) == ["prose", "sums", "goods"]
    assert on.mixture("random").weights == {}
    changed = {type(one).__name__ for one, other in zip(every_spec(off), every_spec(on), strict=False) if one != other}
    assert changed == {"Study", "ConfigSpec", "MixtureSpec", "CardsSpec"}
    assert "probe" not in off.config().config
    assert of_probe(on)[1] == QuestionsSpec(domain="goods", window=32, records=50, questions=6)
    assert of_probe(on)[0] == on.domain("goods")


def test_a_plan_leaves_the_config_as_it_was():
    config = merged(CONFIG / "config.yaml")
    before = copy.deepcopy(config)
    every_spec(Plan(config))
    assert config == before


def test_encoder_and_decoder_never_share_weights():
    for job in Plan({"seeds": [0, 1, 2, 7]}).jobs.values():
        assert job.encoder.name != job.decoder.name
        assert job.encoder.seed == job.seed


def test_a_loaded_model_is_one_whatever_the_seeds():
    assert set(Plan({"seeds": [0, 1, 2]} | LOADED).models) == {"A", "B"}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (
            {"figures": {"style": {"font_size": 9}}},
            {"MeasureFigure", "ClaimFigure", "LearningCurvesFigure", "CrammingFigure", "TableFigure"},
        ),
        ({"compressor": {"schedule": {"steps": 9, "batch": 48, "learning_rate": 3e-3}}}, {"CompressorSpec"}),
        ({"entropy": {"buckets": 3}}, {"ScoreSpec"}),
        ({"analysis": {"memory_test": {"min_gain": 0.1}}}, {"ObservationsSpec", "CardsSpec"}),
        ({"reconstruction": {"batch": 60}}, {"ReconstructionSpec"}),
        ({"reconstruction": {"cramming": {"steps": 60}}}, {"CrammingSpec"}),
        ({"analysis": {"claims": {"alpha": 0.01}}}, {"CalibrationChunk"}),
        ({"analysis": {"claims": {"c1": {"measure": "bleu"}}}}, {"SpecificationSpec", "PredictorSpec"}),
        ({"analysis": {"calibration": {"draws": 60}}}, {"CalibrationChunk"}),
    ],
)
def test_a_change_reaches_only_the_specs_that_depend_on_it(change, changed):
    before, after = (every_spec(Plan(config))[2:] for config in ({}, change))
    assert {type(one).__name__ for one, other in zip(before, after, strict=True) if one != other} == changed


def test_a_new_seed_leaves_the_jobs_of_the_others_alone():
    one, two = Plan({"seeds": [0]}), Plan({"seeds": [0, 1]})
    assert set(one.jobs) < set(two.jobs)
    assert all(one.compressor(name).line() == two.compressor(name).line() for name in one.jobs)
    assert all(one.pretrain(one.models[name]).line() == two.pretrain(two.models[name]).line() for name in one.models)


def test_the_specs_of_a_thousand_pairs_are_arguments_that_linux_takes():
    names = [f"m{number:02d}" for number in range(32)]
    models = {"models": [{"name": name, "pretrain": f"D{1 + n % 6}"} for n, name in enumerate(names)]}
    plan = Plan({"seeds": [0], "lm": models, "compressor": {"encoders": names, "decoders": names, "ratios": [4]}})
    assert len(plan.jobs) == 1024
    specs = [plan.learning_figure(), plan.cramming_analysis(), plan.specification(), plan.summary(), plan.latency()]
    specs.append(plan.predictor())
    assert max(len(spec.line()) for spec in specs) < 128 * 1024
    assert len(plan.observations().line()) > 128 * 1024  # so its rule passes it as a file; that of the gaps nearly so


def test_planning_imports_nothing_heavy():
    code = "import sys, contextpress.plan, contextpress.runtime.closure; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "contextpress.plan" in loaded
    assert set(loaded) & {"torch", "transformers", "pandas", "pyarrow", "scipy", "matplotlib"} == set()


# -- what is refused: the wording is tested with the workflow, in tests/workflow/test_bad_input.py


def domains(*found: dict) -> dict:
    return {"corpus": {"domains": list(found), "natural": [found[0]["name"]], "formal": [found[-1]["name"]]}}


EIGHT = {"steps": 9, "batch": 48, "learning_rate": 3e-3, "processes": 8}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"studdy": "x"}, "config key studdy is not known; known here: study, seeds, gpus, corpus"),
        (
            {"lm": {"warmup": {"rows": 3}}},
            "config key lm.warmup.rows is not known; known here: schedule, longest",
        ),
        ({"seeds": [True]}, "config key seeds[0] is true: a number is wanted"),
        ({"seeds": [1, 1]}, "config key seeds is [1, 1]: the entries must differ"),
        ({"seeds": [10_000]}, "config key seeds[0] is 10000: should be less than 10000"),
        ({"compressor": {"ratios": [3]}}, "compressor.ratios has 3, which does not divide tokens.passages.window (32)"),
        (
            {"reconstruction": {"cramming": {"vectors": [1, 5]}}},
            "reconstruction.cramming.vectors has 5, which does not divide tokens.passages.window (32)",
        ),
        ({"reconstruction": {"cramming": {"vectors": [2, 2]}}}, "cramming.vectors is [2, 2]: the entries must differ"),
        ({"compressor": {"encoders": ["D9"]}}, "compressor.encoders names 'D9', which is not a defined model"),
        ({"corpus": {"formal": ["web"]}}, "corpus.formal names 'web', which is not a defined domain; defined: prose,"),
        (
            {"compressor": {"readouts": ["kv_prefix"], "schedule": EIGHT | {"sharding": "full"}}},
            "config key compressor: readouts has kv_prefix, which cannot be trained with schedule.sharding full",
        ),
        ({"study": "../x"}, 'config key study is "../x": string should match pattern'),
        ({"lm": {"models": [{"name": "D1", "pretrain": "D1", "load": "x"}]}}, "config key lm.models[0]: model D1 must"),
        ({"lm": {"models": [{"name": "A", "load": "x"}] * 2}}, "lm.models has A twice: names must differ"),
        (
            domains({"name": "m", "kind": "markov", "words": 8, "entropy": 3.0}),
            "config key corpus.domains[0]: entropy 3",
        ),
        (domains({"name": "m", "kind": "markov"}), "config key corpus.domains[0].entropy is missing"),
        (
            {"probe": {"domain": "arithmetic"}},
            "config: probe.domain is arithmetic, which is no domain of kind products or questions; there are none",
        ),
        (
            domains({"name": "goods", "kind": "products"}, {"name": "sums", "kind": "arithmetic"})
            | {"probe": {"domain": "goods"}},
            "config: probe.domain is goods, which may not be in corpus.natural or corpus.formal",
        ),
        (
            OWN
            | {
                "corpus": {"domains": [{"name": "prose", "kind": "embedded"}, {"name": "goods", "kind": "products"}]}
                | {"formal": ["prose"], "natural": ["prose"]},
                "probe": {"domain": "goods"},
            },
            "config: probe asks in the study's tokens, but model A has tokenizer own",
        ),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(config, says):
    with pytest.raises(UserError, match=re.escape(says)) as told:
        Plan(config)
    assert "\n" not in str(told.value)
    assert "{" not in str(told.value)  # a whole section would bury the message


def test_domains_are_told_apart_by_kind():
    plan = Plan(domains({"name": "prose", "kind": "embedded"}, {"name": "m", "kind": "markov", "entropy": 1.5}))
    assert isinstance(plan.domains["prose"], Embedded)
    assert isinstance(plan.domains["m"], Markov)
