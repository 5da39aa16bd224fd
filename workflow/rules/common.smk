import os
import sys
from pathlib import Path

# A checkout runs its own package, whatever is installed: here, and in the jobs.
PACKAGE_ROOT = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, PACKAGE_ROOT)
if os.getenv("PYTHONPATH", "").split(os.pathsep)[0] != PACKAGE_ROOT:
    os.environ.update(
        PYTHONPATH=os.pathsep.join(
            filter(None, [PACKAGE_ROOT, os.getenv("PYTHONPATH")])
        )
    )

from contextpress.plan import Plan
from contextpress.runtime.closure import closure
from contextpress.runtime.errors import UserError
from contextpress.runtime.runs import Run


def checked():
    """The plan and this run, or an end in one line. A WorkflowError would come with lines of Snakemake's own."""
    try:
        plan = Plan(config)
        # Asked for by the rules' functions as well, where an error is told less plainly.
        for domain in plan.domains:
            plan.files(domain)
        for model in plan.models.values():
            if model.config.pretrain:
                plan.mixture(model.config.pretrain)
        run = Run(Path(".snakemake")) if workflow.is_main_process else None
    except UserError as error:
        raise SystemExit(f"contextpress: {error}") from None
    return plan, run


PLAN, RUN = checked()


onstart:
    if RUN:
        RUN.start()
    # Snakemake limits how many jobs start per second, for the sake of clusters. With a limit, version 9.27 looks at all
    # jobs that wait a second after every look, and again for every job that ended: that grows to most of a core.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


RESULTS = f"results/{PLAN.study.study}"
LOCK = "envs/requirements.lock"
ENVIRONMENT = f"{workflow.basedir}/envs/contextpress.yaml"


wildcard_constraints:
    domain="|".join(PLAN.domains),
    mixture="D[1-6]|random",
    shape="[a-z][a-z0-9]*",
    model="|".join(PLAN.models),
    compressor="|".join(PLAN.jobs),
    chunk="[a-z]+-[0-9]+",


def code_of(room, step):
    """The files of the package that a step depends on, as inputs: judged by content, so that a touched file reruns
    nothing and an edit reruns the steps that use it. Relative, so that results hold wherever the project lies.
    """
    return [
        os.path.relpath(path)
        for path in closure(f"contextpress.{room}.steps:{step}", "contextpress.cli")
    ]


def spec_of(make, *wildcard):
    """A params function: the spec that a method of the plan gives for these wildcards, as one line of JSON."""
    return lambda wildcards: make(*(wildcards[name] for name in wildcard)).line()


def folder_of(name):
    """A params function: the folder of an input or output file, for steps that read or write whole folders."""

    def folder(wildcards, input, output):
        path = output[name] if name in output.keys() else input[name]
        return str(Path(path).parent)

    return folder


PRETRAINED = [name for name, model in PLAN.models.items() if model.config.pretrain]
LOADED = [name for name in PLAN.models if name not in PRETRAINED]


def lm_weights(name):
    return f"{RESULTS}/lm/{name}/model.safetensors"


def lm_history(name):
    return f"{RESULTS}/lm/{name}/history.parquet"


def start_of_model(name):
    model = PLAN.models[name]
    return f"{RESULTS}/lm/warmup-{model.config.shape}/model.safetensors"


def encoder_weights(wildcards):
    return lm_weights(PLAN.jobs[wildcards.compressor].encoder.name)


def decoder_weights(wildcards):
    return lm_weights(PLAN.jobs[wildcards.compressor].decoder.name)


def drawn(name):
    """The outputs of a figure's rule. The report shows the vector drawing under its own caption."""
    path = f"{RESULTS}/figures/{name}"
    caption = f"{path}.rst"
    return {
        "pdf": f"{path}.pdf",
        "svg": report(
            f"{path}.svg",
            caption=Path(caption).absolute(),
            category="Figures",
            labels={"figure": name.replace("_", " ")},
        ),
        "png": f"{path}.png",
        "caption": caption,
    }
