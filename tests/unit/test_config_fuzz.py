"""Any config at all: a study whose files stay in its folder, or one line that names the key."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contextpress import settings as written
from contextpress.plan import Plan
from contextpress.runtime.errors import UserError
from contextpress.study import Study
from tests.unit.test_study import CONFIG, every_spec, merged

RULES = Path(__file__).resolve().parents[2] / "workflow/rules"
# The default study, and one of few jobs with a domain of every kind; a mutation of a preset reaches more checks.
SMALL = merged(CONFIG / "config.yaml", CONFIG / "presets/smoke.yaml")
SMALL["corpus"]["domains"] += [
    {"name": "mine", "kind": "files", "path": "texts/*.txt"},
    {"name": "wiki", "kind": "datasets", "dataset": "some/set"},
    {"name": "chain", "kind": "markov", "entropy": 1.5},
    {"name": "grammar", "kind": "grammar"},
    {"name": "even", "kind": "uniform"},
    {"name": "goods", "kind": "products"},
    {"name": "asked", "kind": "questions", "path": "texts/asked.jsonl"},
]
SMALL["probe"] = {"domain": "goods", "records": 9}
HOSTILE = [
    *(
        "",
        "..",
        "../x",
        "/x",
        "a/b",
        "-rf",
        "a b",
        "a\n",
        "a'b",
        '"',
        "$(touch x)",
        "a;b",
        "a\0b",
        "{model}",
        "a*",
        "~x",
    ),
    *("ѕmoke", "\ud800", "\x1b[2J", "a" * 5000, "D1", "d1", "prose", "harvest", "gap", "calibration", "nan", "1e999"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 10**400])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(HOSTILE)
)
VALUES = st.recursive(
    SCALARS,
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(HOSTILE) | st.text(max_size=9), parts, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Where something stands in a config, sections and entries of lists included."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, part in parts for place in places(part, (*path, key)))]


PLACES = places(SMALL)


@st.composite
def configs(draw) -> dict[str, Any]:
    """The small study with one to three places changed, taken away, or given a key more."""
    config = copy.deepcopy(SMALL)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        here: Any = config
        try:
            for step in path[:-1]:
                here = here[step]
            old = here[path[-1]]
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
        how = draw(st.sampled_from(["replace", "remove", "add", "another", "wrap"]))
        if how == "remove" and isinstance(here, dict):
            del here[path[-1]]
        elif how == "add" and isinstance(old, dict):
            old[draw(st.sampled_from(HOSTILE) | st.text(max_size=9))] = draw(VALUES)
        elif how == "add" and isinstance(old, list):
            old.append(copy.deepcopy(draw(st.sampled_from(old))) if old and draw(st.booleans()) else draw(VALUES))
        elif how == "another":  # the value of another place: of the right kind now and then
            other: Any = SMALL
            for step in draw(st.sampled_from(PLACES)):
                other = other[step]
            here[path[-1]] = copy.deepcopy(other)
        elif how == "wrap":
            here[path[-1]] = [old]
        else:
            here[path[-1]] = draw(VALUES)
    return config


def names_of_files(plan: Plan) -> list[str]:
    """Every name that the rules put into a path."""
    chunks = plan.study.analysis.calibration.chunks()
    shapes = [model.config.shape for model in plan.models.values() if model.config.pretrain]
    return [plan.study.study, *plan.domains, *plan.models, *plan.jobs, *plan.decoders, *plan.sizes, *shapes, *chunks]


def accepted_or_refused(config: dict[str, Any]) -> bool:
    """Whether ``config`` is accepted. What is asserted of it then, or of the message, is the property."""
    before = copy.deepcopy(config)
    try:
        plan = Plan(config)
        specs = list(every_spec(plan))
    except UserError as error:
        line = str(error)
        assert line.isprintable()
        assert len(line) < 20_000
        keys = [*Study.model_fields, *(key for key in config if key not in Study.model_fields)]
        named = re.sub(r"\s+", " ", line)
        assert line.startswith(("config key ", "config: ", "corpus ")), line
        assert any(str(key) in named for key in keys) or line.startswith("config key "), line
        return False
    assert repr(config) == repr(before)
    for name in names_of_files(plan):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name), name
        assert len(name) < 200  # with a suffix and the number of a process a file's name may have 255 bytes
        folder = Path("results").resolve() / plan.study.study
        assert (folder / "lm" / name).resolve().parent == folder / "lm"
    assert len({name.lower() for name in plan.models}) == len(plan.models)
    for spec in specs:
        assert "\n" not in spec.line()
        assert "\0" not in spec.line()
        assert type(spec).model_validate_json(spec.line()) == spec
    return True


@given(configs())
@settings(max_examples=400)
def test_any_config_is_a_study_or_a_line(config):
    accepted_or_refused(config)


@given(VALUES)
@settings(max_examples=100)
def test_any_value_is_a_study_or_a_line(value):
    try:
        Plan(value)
    except UserError as error:
        assert str(error).isprintable()


@given(configs())
@settings(max_examples=100)
def test_as_an_option_of_snakemake_everything_is_text(config):
    def text(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: text(part) for key, part in value.items()}
        return [text(part) for part in value] if isinstance(value, list) else str(value)

    accepted_or_refused(text(config))


def test_the_unchanged_config_is_accepted():
    assert accepted_or_refused(SMALL)
    assert accepted_or_refused(yaml.safe_load(written.default_config()))


def test_no_value_reaches_a_shell_unquoted():
    """Each field of a shell command is written with :q, but for the number of threads."""
    commands = 0
    for rules in RULES.glob("*.smk"):
        for command in re.findall(r"^    shell:\n((?:        .*\n)+)", rules.read_text(encoding="utf-8"), re.MULTILINE):
            commands += 1
            assert re.sub(r"\{[a-z_.0-9]+:q\}|\{threads\}", "", command).count("{") == 0, command
    assert commands > 30
