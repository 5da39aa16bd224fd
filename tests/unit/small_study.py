"""A study of a few seconds, made step by step as the workflow makes it."""

from __future__ import annotations

import shutil
from pathlib import Path

from contextpress.cli import main
from contextpress.plan import Plan

SCHEDULE = {"steps": 4, "batch": 4, "learning_rate": 0.01}
PLAN = Plan(
    {
        "study": "tiny",
        "seeds": [0],
        "corpus": {
            "characters": 20_000,
            "mixture_tokens": 400,
            "domains": [{"name": "sums", "kind": "arithmetic"}, {"name": "chain", "kind": "uniform", "words": 64}],
            "natural": ["sums"],
            "formal": ["chain"],
            "document_characters": 400,
        },
        "tokens": {
            "tokenizer": {"vocabulary": 300},
            "passages": {"window": 8, "test": 4, "validation": 2, "ladder": 2},
        },
        "lm": {
            "shapes": [{"name": "base", "layers": 1, "width": 16, "heads": 2, "intermediate": 24, "context": 64}],
            "models": [{"name": "D1", "pretrain": "D1"}],
            "warmup": {"schedule": SCHEDULE, "longest": 8},
            "pretraining": {"schedule": SCHEDULE, "row": 16},
        },
        "compressor": {"encoders": ["D1"], "decoders": ["D1"], "ratios": [4], "schedule": SCHEDULE},
        "analysis": {"claims": {"draws": 100, "min_passages": 20}},
    }
)
JOB = next(iter(PLAN.jobs))
ENCODER, DECODER = (model.name for model in (PLAN.jobs[JOB].encoder, PLAN.jobs[JOB].decoder))


def _pretraining(model: str) -> str:
    return f"lm train --start warmup --rows rows.safetensors --tokenizer words --checkpoints kept/{model}"


# Step by step: the command and what it writes; the spec comes from the plan.
STEPS = {
    "domain": ("corpus domain --output sums.parquet", PLAN.domain("sums"), ["sums.parquet"]),
    "tokenizer": (
        "tokens tokenizer --documents sums.parquet --output words",
        PLAN.study.tokens.tokenizer,
        ["words/tokenizer.json"],
    ),
    "encode": (
        "tokens encode --documents sums.parquet --tokenizer words --output sums.safetensors",
        None,
        ["sums.safetensors"],
    ),
    "passages": (
        "tokens passages --documents sums.parquet --tokenizer words --output passages.parquet"
        " --ladder-output ladder.parquet",
        PLAN.study.tokens.passages,
        ["passages.parquet", "ladder.parquet"],
    ),
    "mixture": (
        "tokens mixture --tokenizer words --arrays sums.safetensors --output rows.safetensors --manifest rows.json",
        PLAN.mixture("D1"),
        ["rows.safetensors", "rows.json"],
    ),
    "warmup": (
        "lm warmup --tokenizer words --checkpoints kept/warmup --output warmup --record warmup/record.json",
        PLAN.warmup("base"),
        ["warmup"],
    ),
    **{
        role: (
            f"{_pretraining(name)} --output {role} --record {role}/record.json",
            PLAN.pretrain(PLAN.models[name]),
            [role],
        )
        for role, name in (("encoder", ENCODER), ("decoder", DECODER))
    },
    "compressor": (
        "compressor train --encoder encoder --decoder decoder --tokenizer words"
        f" --arrays{' sums.safetensors' * len(PLAN.compressor(JOB).domains)} --checkpoints kept/compressor"
        " --output compressor --record compressor/record.json",
        PLAN.compressor(JOB),
        ["compressor"],
    ),
    "score": (
        "entropy score --model encoder --tokenizer words --passages passages.parquet --output scores.parquet"
        " --tokens-output tokens.parquet",
        PLAN.score(ENCODER),
        ["scores.parquet", "tokens.parquet"],
    ),
    "reconstruct": (
        "reconstruction reconstruct --compressor compressor --encoder encoder --decoder decoder --tokenizer words"
        " --passages passages.parquet --output made.parquet --record made.json",
        PLAN.reconstruction(),
        ["made.parquet", "made.json"],
    ),
    "claims": (
        "analysis claims --observations observations.parquet --finding-c1 c1.json --finding-c2 c2.json"
        " --finding-c3 c3.json --table-c1 c1.csv --table-c2 c2.csv --table-c3 c3.csv --table-grid-effects grid.csv"
        " --table-by-bucket bucket.csv --specification none.csv",
        PLAN.study.analysis.claims,
        ["c1.json", "c2.json", "c3.json", "c1.csv", "c2.csv", "c3.csv", "grid.csv", "bucket.csv"],
    ),
    "figure": (
        "figures encoder-entropy --observations observations.parquet --finding c1.json --pdf c1.pdf --svg c1.svg"
        " --png c1.png --caption c1.rst",
        PLAN.claim_figure(),
        ["c1.pdf", "c1.svg", "c1.png", "c1.rst"],
    ),
    "effects": (
        "figures grid-effects --table grid.csv --pdf grid.pdf --svg grid.svg --png grid.png --caption grid.rst",
        PLAN.table_figure(),
        ["grid.pdf", "grid.svg", "grid.png", "grid.rst"],
    ),
}


def step(name: str) -> int:
    """Run a step in the current folder as the workflow does; its exit status."""
    command, spec, _ = STEPS[name]
    return main([*command.split(), *(["--spec", spec.line()] if spec is not None else [])])


def the_line(capsys) -> str:
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    ours = [line for line in printed.splitlines() if line.startswith("contextpress: ")]
    assert len(ours) == 1, printed
    return ours[0]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def forget(folder: Path, name: str) -> None:
    """As Snakemake does before it runs a job."""
    for output in STEPS[name][2]:
        path = folder / output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
