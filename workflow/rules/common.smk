import os
import sys
from pathlib import Path

# A checkout runs its own package, whatever is installed: here, and in the jobs.
PACKAGE_ROOT = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, PACKAGE_ROOT)
if os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] != PACKAGE_ROOT:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))

from contextpress.plan import Plan
from contextpress.runtime.closure import closure
from contextpress.runtime.errors import UserError

try:
    PLAN = Plan(config)
    for name in PLAN.domains:
        PLAN.files(name)
except UserError as error:
    # Not a WorkflowError: Snakemake would put its own lines, with places in this file, around ours.
    raise SystemExit(f"contextpress: {error}") from None

RESULTS = f"results/{PLAN.study.study}"
LOCK = "envs/requirements.lock"


wildcard_constraints:
    domain="|".join(PLAN.domains),
    mixture="D[1-6]",
    shape="[a-z][a-z0-9]*",
    seed="[0-9]+",
    model="|".join(PLAN.models),
    compressor="|".join(PLAN.jobs),


def code_of(room):
    """The files of the package that a room's steps depend on, as inputs: judged by content, so that a touched file
    reruns nothing and an edit reruns what imports it. Relative, so that results hold wherever the project lies."""
    return [os.path.relpath(path) for path in closure(f"contextpress.{room}.steps", "contextpress.cli")]


def spec_of(make, *wildcard):
    """A params function: the spec that a method of the plan gives for these wildcards, as one line of JSON."""
    return lambda wildcards: make(*(wildcards[name] for name in wildcard)).line()


def folder_of(name):
    """A params function: the folder of an input or output file, for steps that read or write whole folders."""

    def folder(wildcards, input, output):
        path = output[name] if name in output.keys() else input[name]
        return str(Path(path).parent)

    return folder
