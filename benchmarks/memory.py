"""Peak memory of the steps that passages pass through, at 10,000, 100,000 and a million passages of eight tokens.

python -m benchmarks memory

Each step is run as the workflow runs it, in a process of its own, on made text and a model of one narrow layer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.harness import machine
from contextpress.analysis.spec import CompressorDescription, ObservationsSpec
from contextpress.corpus.documents import DOCUMENTS
from contextpress.corpus.words import WORDS
from contextpress.entropy.scores import GAP
from contextpress.entropy.spec import ScoreSpec
from contextpress.figures.spec import Style
from contextpress.figures.style import COLOURS, MARKERS, Drawing, legend, save, sheet, styled
from contextpress.lm.folder import save_model
from contextpress.lm.pretrain import new_model
from contextpress.lm.spec import Shape
from contextpress.reconstruction.table import CONDITIONS, MEASURES, OF_SAMPLE, RECONSTRUCTIONS
from contextpress.report import markdown
from contextpress.runtime.files import write_json, write_text
from contextpress.runtime.tables import batches, write_table, writing
from contextpress.tokens.arrays import narrow, save_arrays
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.spec import PassagesSpec
from contextpress.tokens.tokenizer import train_tokenizer

SIZES = (10_000, 100_000, 1_000_000)
WINDOW, LADDER, VOCABULARY = 8, 20, 400
WORDS_PER_DOCUMENT = 500
MODEL = "D1-s0"
# A process of its own between this one and the step: the peak of a step counts the process that it was forked from.
LAUNCH = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "contextpress.cli", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
Steps = Iterator[tuple[str, list[str]]]


def measure(folder: Path, sizes: Sequence[int] = SIZES) -> list[dict[str, object]]:
    """Run every step at every size; rows with the step, the passages, MiB at the peak and seconds."""
    rows = []
    for size in sizes:
        here = folder / str(size)
        for name, command in _steps(here, size):
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", LAUNCH, *command], capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
            mib = int(done.stdout.splitlines()[-1]) / 1024
            seconds = time.perf_counter() - started
            rows.append({"step": name, "passages": size, "mib": mib, "seconds": round(seconds, 1)})
            sys.stderr.write(f"{name}, {size:,} passages: {mib:,.0f} MiB, {seconds:.0f} s\n")
    return rows


def _steps(folder: Path, size: int) -> Steps:
    """Steps in the order of the workflow, each as the arguments of the command; their inputs are made in between."""
    _write_text(folder, size)
    documents, tokenizer = folder / "prose.parquet", folder / "tokenizer"
    passages = [folder / "passages.parquet", folder / "ladder.parquet"]
    spec = PassagesSpec(window=WINDOW, test=size, validation=2, ladder=LADDER).line()
    told = ["--spec", spec, "--documents", documents, "--tokenizer", tokenizer]
    yield (
        "tokens passages",
        _words("tokens", "passages", *told, "--output", passages[0], "--ladder-output", passages[1]),
    )
    scores, free = folder / "scores.parquet", folder / "free.parquet"
    told = ["--model", folder / "model", "--tokenizer", tokenizer, "--passages", *passages, "--output", scores]
    spec = ScoreSpec(model=MODEL, buckets=5).line()
    yield (
        "entropy score",
        _words("entropy", "score", "--spec", spec, *told, "--tokens-output", folder / "tokens.parquet"),
    )
    told = ["--passages", *passages, "--arrays", folder / "ids", "--tokenizer", tokenizer, "--output", free]
    yield "entropy model-free", _words("entropy", "model-free", *told)
    told = ["--passages", passages[0], "--scores", scores, scores, "--output", folder / "perplexity.csv"]
    yield "entropy perplexity", _words("entropy", "perplexity", *told)
    described = [
        CompressorDescription(
            **dict.fromkeys(("encoder_model", "decoder_model"), MODEL),
            **dict.fromkeys(("encoder_replaced", "decoder_replaced"), 0.0),
            encoder="D1",
            decoder="D1",
            readout="mean_pool",
            ratio=4,
            seed=0,
            decoder_training=training,
        )
        for training in ("frozen", "full")
    ]
    pairs, reconstructions = folder / "gap.parquet", folder / "reconstructions.parquet"
    _write_reconstructions(reconstructions, passages)
    gap = {"encoder": "D1", "decoder": "D1", "seed": 0, "design": 0.0, "kl_encoder_decoder": 0.0}
    write_table(pairs, pd.DataFrame([gap | {"kl_decoder_encoder": 0.0, "entropy_difference": 0.0}]), GAP)
    told = ["--passages", *passages, "--scores", scores, "--model-free", free, "--gaps", pairs]
    told += ["--reconstructions", reconstructions, reconstructions, "--observations", folder / "observations.parquet"]
    spec = ObservationsSpec(compressors=tuple(described)).line()
    yield "analysis observations", _words("analysis", "observations", "--spec", spec, *told)


def _words(*parts: str | Path) -> list[str]:
    return [str(part) for part in parts]


def _write_text(folder: Path, size: int) -> None:
    """Documents of random words, enough for so many passages, a tokenizer of them, and a model that reads it."""
    draw = np.random.default_rng(0)
    sample = " ".join(draw.choice(WORDS, 20_000))
    tokenizer = train_tokenizer([sample], VOCABULARY)
    tokenizer.save_pretrained(folder / "tokenizer")
    per_word = len(tokenizer(sample)["input_ids"]) / 20_000
    count = int(1.2 * size * WINDOW / per_word / WORDS_PER_DOCUMENT) + 2
    with writing(folder / "prose.parquet", DOCUMENTS) as write:
        for first in range(0, count, 1000):
            numbers = range(first, min(first + 1000, count))
            write(
                pd.DataFrame(
                    {
                        "document_id": [f"prose/{number:06d}" for number in numbers],
                        "domain": "prose",
                        "source": [f"{number}.txt" for number in numbers],
                        "split": ["validation" if number == 0 else "test" for number in numbers],
                        "text": [" ".join(draw.choice(WORDS, WORDS_PER_DOCUMENT)) for _ in numbers],
                        "entropy_rate": np.nan,
                    }
                )
            )
    ids = narrow(tokenizer(sample)["input_ids"], VOCABULARY)
    save_arrays(folder / "ids", ids=ids, offsets=np.array([0, len(ids)]))
    shape = Shape(layers=1, width=32, heads=2, intermediate=64, context=64)
    save_model(new_model(shape, len(tokenizer), tokenizer.bos_token_id, torch.device("cpu")), folder / "model")


def _write_reconstructions(path: Path, passages: list[Path]) -> None:
    """What no model has reconstructed: random numbers in the shape of the table."""
    draw = np.random.default_rng(0)
    disturbed = {name for part in batches(passages[1:], PASSAGES, ["passage_id"]) for name in part["passage_id"]}
    sample = {name.rpartition("/")[0] for name in disturbed}
    with writing(path, RECONSTRUCTIONS) as write:
        for condition in CONDITIONS:
            for part in batches(passages, PASSAGES, ["passage_id", "split"]):
                part = part[part["split"] == "test"]
                part = part[part["passage_id"].isin(sample)] if condition in OF_SAMPLE else part
                if part.empty:
                    continue
                numbers = {name: draw.random(len(part)) for name in MEASURES}
                texts = {"reconstruction": "", "token_ids": [[0] * WINDOW] * len(part)}
                write(part[["passage_id"]].assign(condition=condition, **numbers, **texts))


def report(rows: list[dict[str, object]], folder: Path) -> None:
    """Write memory.json, .md, and the figure memory.pdf, .svg, .png with its caption."""
    write_json(folder / "memory.json", {"machine": machine(), "rows": rows})
    steps = list(dict.fromkeys(str(row["step"]) for row in rows))
    sizes = sorted({int(str(row["passages"])) for row in rows})
    found = {(row["step"], row["passages"]): row for row in rows}
    head = ["step", *(f"MiB, {size:,} passages" for size in sizes), "seconds at the last"]
    cells = [
        [step, *(f"{found[step, size]['mib']:,.0f}" for size in sizes), f"{found[step, sizes[-1]]['seconds']:,.0f}"]
        for step in steps
    ]
    said = f"Peak resident memory of each step, {machine()}. Passages of {WINDOW} tokens; made text and models."
    parts = ["# Memory", said, markdown.table(head, cells, numbers=head[1:])]
    write_text(folder / "memory.md", "\n\n".join(parts) + "\n")
    style = Style()
    with styled(style):
        figure, panels = sheet(style.page, 2.6, 1, 1)
        axes = panels[0][0]
        for place, step in enumerate(steps):
            mib = [found[step, size]["mib"] for size in sizes]
            axes.plot(sizes, mib, color=COLOURS[place], marker=MARKERS[place], label=step)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("passages")
        axes.set_ylabel("peak memory, MiB")
        legend(figure, axes.get_legend_handles_labels()[0])
        save(Drawing(figure, said), *(folder / f"memory.{kind}" for kind in ("pdf", "svg", "png", "txt")))


def run(folder: Path, sizes: Sequence[int]) -> None:
    """Measure, and write the table and the figure into ``folder``."""
    with tempfile.TemporaryDirectory() as scratch:
        report(measure(Path(scratch), sizes), folder)
