"""Never stale: every module of the package and every key of the smoke study is edited, one at a time.

What Snakemake would then run is compared with what must run: the steps that use the module (found in compiled code) or
the key (written down in dependents.py), and all that reads what they write.
"""

from __future__ import annotations

import copy
import functools
import re
import shutil
from typing import get_args

import pytest
import yaml

from contextpress.arms import ARMS, ArmName
from contextpress.study import Study
from tests.unit.bytecode import PACKAGE, files_of_step
from tests.workflow.chaos import differing, digests
from tests.workflow.dependents import KEYS, REFUSED, RULES, UNSTORED, affected, expected
from tests.workflow.dry_runs import dry_runs
from tests.workflow.running import PROJECT, SMOKE, snakemake, write_yaml

pytestmark = pytest.mark.workflow


def leaves(value, path=""):
    """Keys of a study, dotted, with their values; entries of a list of sections by number."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{place}]")
    else:
        yield path, value


def changed(study, path, value):
    """The study with another value at one key."""
    *way, last = re.findall(r"[a-z_0-9]+", path)
    study = copy.deepcopy(study)
    here = functools.reduce(lambda part, step: part[int(step) if step.isdigit() else step], way, study)
    assert here[last] != value
    here[last] = value
    if last == "kind":  # another kind of domain has other keys
        here.pop("extract", None)
    return study


@pytest.fixture(scope="module")
def edited(finished, tmp_path_factory):
    """A copy of the finished study, with a small calibration; a list of its configs; and its dry runs."""
    tree = shutil.copytree(finished, tmp_path_factory.mktemp("edited") / "tree", symlinks=True)
    few = {"null_studies": 3, "planted_studies": 2, "chunk": 2, "documents": 8, "draws": 50}
    overlay = write_yaml(tree / "few.yaml", {"analysis": {"calibration": few}})
    done = snakemake(tree, "calibration", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    with dry_runs(tree, overlay) as asked:
        yield tree, asked


@pytest.fixture(scope="module")
def study(edited):
    """The smoke study with its small calibration: every key and its value."""
    smoke = yaml.safe_load((PROJECT / SMOKE).read_text(encoding="utf-8"))
    smoke["analysis"] |= yaml.safe_load((edited[0] / "few.yaml").read_text(encoding="utf-8"))["analysis"]
    # Nothing, without pairs; where some are named, a size that fits.
    arms = [name for name in get_args(ArmName) if ARMS[name].larger is None]
    debias = {"passages": 16, "schedule": {"steps": 2, "batch": 8, "learning_rate": 0.001}}
    smoke["mitigation"] |= {"arms": arms, "debias": debias}
    return Study.read(smoke).model_dump(mode="json")


def test_the_rules_are_those_of_the_study_and_nothing_runs_without_an_edit(edited, study):
    tree, asked = edited
    assert asked.ask(every=True) == {rule: count for rule, (_, count, _) in RULES.items()}
    assert asked.ask() == {}
    assert asked.ask(write_yaml(tree / "written_out.yaml", study)) == {}


def test_every_key_is_edited(study):
    assert sorted(KEYS) == sorted(path for path, _ in leaves(study))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_edited_module_reruns_what_uses_it_and_nothing_else(edited, path):
    tree, asked = edited
    name = path.relative_to(PACKAGE).as_posix()
    file = tree / "workflow/contextpress" / name
    before = file.read_bytes()
    file.write_bytes(before + b"# a remark\n")
    try:
        jobs = asked.ask()
    finally:
        file.write_bytes(before)
    assert jobs == affected(rule for rule, (step, _, _) in RULES.items() if name in files_of_step(*step.split()))


@pytest.mark.parametrize("key", KEYS)
def test_an_edited_key_reruns_what_depends_on_it_and_nothing_else(edited, study, key):
    tree, asked = edited
    value, told = KEYS[key]
    jobs = asked.ask(write_yaml(tree / "edited.yaml", changed(study, key, value)))
    if told == REFUSED:
        assert isinstance(jobs, str)
        assert jobs.startswith("contextpress: ")
    else:
        assert jobs == expected(told) | ({} if UNSTORED.fullmatch(key) else {"study_config": 1})


# One edit in each room, from the first to the last, so that none is hidden by what a later one reruns.
EDITS = [
    {"corpus": {"seed": 1}},
    {"tokens": {"passages": {"ladder": 5}}},
    {"lm": {"pretraining": {"restate_share": 0.3}}},
    ("entropy/passages.py", "level=9", "level=1"),
    {"compressor": {"curriculum": {"half": 0.3}}},
    ("reconstruction/metrics.py", "effective_order=True", "effective_order=False"),
    {"analysis": {"claims": {"cluster": "source"}}},
    ("figures/rungs.py", 'set_xlabel("Text")', 'set_xlabel("Texts")'),
]


@pytest.mark.slow
def test_after_edits_one_by_one_the_study_is_that_of_a_clean_run(finished, tree, tmp_path):
    overlay, keys = tmp_path / "edited.yaml", {}
    for edit in EDITS:
        if isinstance(edit, dict):
            keys = merged(keys, edit)
        else:
            name, old, new = edit
            path = tree / "workflow/contextpress" / name
            assert old in path.read_text(encoding="utf-8")
            path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
        before = digests(tree)
        done = snakemake(tree, overlay=write_yaml(overlay, keys), timeout=3600)
        assert done.returncode == 0, done.stdout + done.stderr
        assert digests(tree) != before, edit
    clean = shutil.copytree(tree, tmp_path / "clean", ignore=shutil.ignore_patterns("results", ".snakemake"))
    done = snakemake(clean, overlay=overlay, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(tree, clean) == []


def merged(one, other):
    """Two nested dictionaries as one; the second has the last word."""
    both = {key: merged(one[key], other[key]) for key in one.keys() & other.keys() if isinstance(one[key], dict)}
    return one | other | both
