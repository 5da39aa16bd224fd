"""Presets that no test runs: Snakemake plans all their jobs, in a fresh checkout and without a network."""

from __future__ import annotations

import re
import sys

import pytest
import yaml

from contextpress.mitigations import Mitigations
from contextpress.plan import Plan
from tests.workflow.running import run

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("preset", ["grid", "controls", "warmups", "trained_decoder", "mitigation", "qwen", "paper"])
def test_a_preset_is_planned(checkout, preset):
    path = f"config/presets/{preset}.yaml"
    plan = Plan(yaml.safe_load((checkout / path).read_text(encoding="utf-8")))
    arms = Mitigations(plan)
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "host", "--cores", "1"]
    done = run(checkout, *command, "--configfile", path)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    assert int(jobs["compressor"]) + int(jobs.get("debias", 0)) == len(plan.jobs) + len(arms.compressors)
    assert int(jobs.get("pretrain", 0)) + int(jobs.get("load", 0)) == len(plan.models) + len(arms.models)
