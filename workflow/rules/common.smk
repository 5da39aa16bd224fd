import logging
import os
import signal
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

from contextpress.configfiles import check_files
from contextpress.mitigations import Mitigations
from contextpress.plan import Plan
from contextpress.probe import Probe
from contextpress.remedies import Remedies
from contextpress.practice import budget as budget_spec
from contextpress.practice import guidelines as guidelines_spec
from contextpress.report.spec import CLAIMS_OF_FIGURES
from contextpress.runtime.closure import closure
from contextpress.runtime.errors import UserError
from contextpress.runtime.forks import keep_forker
from contextpress.runtime.measured import measure_forks
from contextpress.runtime.runs import Run, handle_aside
from contextpress.runtime.troubles import told_of_run, unwritable

check_files(map(Path, workflow.configfiles))


def checked():
    """The plan, the arms and this run, or an end in one line. A WorkflowError would come with lines of Snakemake's own."""
    try:
        plan = Plan(config).check()
        arms = Mitigations(plan)
        remedies = Remedies(arms)
        run = Run(Path(".snakemake")) if workflow.is_main_process else None
    except UserError as error:
        raise SystemExit(f"contextpress: {error}") from None
    return plan, arms, remedies, run


PLAN, ARMS, REMEDIES, RUN = checked()

# A line that finds no room in Snakemake's own log would print a traceback, and on a full disk each line does.
logging.raiseExceptions = False


onstart:
    handle_aside(signal.SIGTERM)
    if RUN:
        # Snakemake itself would end in a traceback.
        if why := unwritable(Path(RESULTS)):
            raise SystemExit(f"contextpress: {why}")
        RUN.start()
    if not workflow.local_exec:
        if RUN and SHARED_SOURCES:
            # The config that Snakemake names to its jobs: see the Snakefile.
            workflow.config_settings.configfiles = [RUN.freeze(PLAN.study.line())]
    else:
        # Snakemake limits how many jobs start per second, for the sake of clusters. With a limit, version 9.27 looks at
        # all jobs that wait a second after every look, and again for every job that ended: that grows to most of a core.
        workflow.scheduler.job_rate_limiter = None
        keep_forker()
        measure_forks(Path(".snakemake"))


onerror:
    for line in told_of_run(
        "".join(Path(path).read_text() for path in log), Path(RESULTS)
    ):
        sys.stderr.write(f"contextpress: {line}\n")


RESULTS = f"results/{PLAN.study.study}"
LOCK = "envs/requirements.lock"
ENVIRONMENT = f"{workflow.basedir}/envs/contextpress.yaml"


# What a job with a model in it asks for, where an engine asks back; more when it has failed. Where a study needs more
# than these guesses: `--set-resources compressor:mem_mb=64000`. No GPU is not the same as 0 of them to every engine.
WITH_MODEL = {
    "mem_mb": lambda wildcards, attempt: 4000 * attempt,
    "runtime": lambda wildcards, attempt: 240 * attempt,
    **({"gpu": PLAN.study.gpus} if PLAN.study.gpus else {}),
}

# The study's own, then those of the arms.
COMPRESSORS = [*PLAN.jobs, *ARMS.compressors]
# But for those that are only there for others to begin at.
STARTS = [spec.name for spec in ARMS.starts.values()]
RECONSTRUCTED = [name for name in COMPRESSORS if name not in STARTS]


wildcard_constraints:
    domain="|".join(PLAN.domains),
    mixture="D[1-6]|random",
    shape="[a-z][a-z0-9]*",
    model="|".join([*PLAN.models, *ARMS.models, *REMEDIES.merged, *REMEDIES.infused]),
    compressor="|".join(COMPRESSORS),
    chunk="[a-z]+-[0-9]+",


def code_of(room, step, *templates):
    """The files of the package that a step depends on, as inputs: judged by content, so that a touched file reruns
    nothing and an edit reruns the steps that use it. Relative, so that results hold wherever the project lies.
    ``templates`` are files of the room that are not Python and that the step reads.
    """
    code = closure(f"contextpress.{room}.steps:{step}", "contextpress.cli")
    folder = Path(PACKAGE_ROOT) / "contextpress" / room
    return [os.path.relpath(path) for path in [*code, *map(folder.joinpath, templates)]]


def spec_of(make, *wildcard):
    """A params function: the spec that a method of the plan gives for these wildcards, as one line of JSON."""
    return lambda wildcards: make(*(wildcards[name] for name in wildcard)).line()


def started(schedule):
    """How a training step is started, word by word: as any other, or for several processes by accelerate, each of them the step."""
    if schedule.processes == 1:
        return ["contextpress"]
    launch = (
        f"accelerate launch --multi_gpu --num_processes {schedule.processes} --num_machines 1 --main_process_port 0"
        " --num_cpu_threads_per_process 1 --mixed_precision no --dynamo_backend no --module contextpress.cli"
    )
    return launch.split()


def folder_of(name):
    """A params function: the folder of an input or output file, for steps that read or write whole folders."""

    def folder(wildcards, input, output):
        path = output[name] if name in output.keys() else input[name]
        return str(Path(path).parent)

    return folder


PRETRAINED = {
    name: model for name, model in PLAN.models.items() if model.config.pretrain
}
LOADED = [name for name in PLAN.models if name not in PRETRAINED]
FROM_SCRATCH = PRETRAINED | ARMS.models


def lm_weights(name):
    return f"{RESULTS}/lm/{name}/model.safetensors"


def lm_history(name):
    return f"{RESULTS}/lm/{name}/history.parquet"


def start_of_model(name):
    model = FROM_SCRATCH[name]
    return f"{RESULTS}/lm/warmup-{model.config.shape}/model.safetensors"


def encoder_weights(wildcards):
    return lm_weights(ARMS.compressor(wildcards.compressor).encoder)


def decoder_weights(wildcards):
    return lm_weights(ARMS.compressor(wildcards.compressor).decoder)


def start_of(output):
    """An input function: an output of the compressor that another one begins at."""
    return lambda wildcards: expand(
        output, compressor=ARMS.starts[wildcards.compressor].name
    )[0]


def tokenizer_of(model):
    """The tokenizer that a model reads: the study's, or its own."""
    folder = f"own/{model}" if model in PLAN.own else "tokenizer"
    return f"{RESULTS}/tokens/{folder}/tokenizer.json"


def passages_of(model):
    """Held-out passages and the control ladder, in the tokens that a model reads."""
    folder = f"tokens/own/{model}" if model in PLAN.own else "tokens"
    return [f"{RESULTS}/{folder}/{name}.parquet" for name in ("passages", "ladder")]


def own_models(compressor):
    """Which models of a compressor have a tokenizer of their own, by role."""
    spec = ARMS.compressor(compressor)
    named = {"encoder": spec.encoder, "decoder": spec.decoder}
    return {role: model for role, model in named.items() if model in PLAN.own}


def own_tokenizer_files(wildcards):
    """An input function: the tokenizers that only these models of a compressor read."""
    return [tokenizer_of(model) for model in own_models(wildcards.compressor).values()]


def own_passage_files(wildcards):
    """An input function: the passages in their tokens."""
    return [
        path
        for model in own_models(wildcards.compressor).values()
        for path in passages_of(model)
    ]


def own_tokenizer_options(wildcards):
    """A params function: options of a step that name these tokenizers."""
    return [
        word
        for role, model in own_models(wildcards.compressor).items()
        for word in (f"--{role}-tokenizer", str(Path(tokenizer_of(model)).parent))
    ]


def own_passages_options(wildcards):
    """A params function: options of a step that name these passages."""
    return [
        word
        for role, model in own_models(wildcards.compressor).items()
        for word in (f"--{role}-passages", *passages_of(model))
    ]


# Figures that not every study has.
OF_SOME = {
    "dose_response": PLAN.sets_entropy,
    "mitigation": bool(ARMS.cells),
    "infusion": bool(REMEDIES.dosed),
    "probe": bool(PLAN.study.probe.domain),
}
ABSENT = [name for name, there in OF_SOME.items() if not there]


def drawn(name):
    """The outputs of a figure's rule. The report shows the vector drawing under its own caption."""
    path = f"{RESULTS}/figures/{name}"
    caption = f"{path}.rst"
    # The report sorts by the first label, as text.
    known = [figure for figure in CLAIMS_OF_FIGURES if figure not in ABSENT]
    return {
        "pdf": f"{path}.pdf",
        "svg": report(
            f"{path}.svg",
            caption=Path(caption).absolute(),
            category="2 Figures",
            labels={
                "no.": f"{known.index(name) + 1:02d}",
                "figure": name.replace("_", " "),
                "about": CLAIMS_OF_FIGURES[name],
            },
        ),
        "png": f"{path}.png",
        "caption": caption,
    }
