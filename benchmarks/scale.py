"""What a study of the paper's size, and the large presets, would cost, on paper: the tables of docs/scale.md.

    python -m benchmarks.scale

Operations are counted as in flops.py. Nothing here was measured but the processor's rate, from results.json.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks import flops
from benchmarks.shapes import SHAPES, Shape
from contextpress.jobs import Model
from contextpress.plan import Plan

# The paper states sizes, 50B tokens, and six mixtures; all else is our assumption.
TOKENS, MIXTURES, SEEDS = 50e9, 6, 3
COMPRESSOR_TOKENS = 1e9  # passage tokens that one compressor is trained on
RATIOS = 1
STEP_TOKENS = 16_384  # per GPU and step, in pretraining
USED = 0.4  # share of the GPU's peak that training uses (MFU)
PEAKS = {"H100": 989e12, "A100": 312e12}  # dense bfloat16 of the SXM models, by NVIDIA's data sheets
SIZES = {
    name: replace(
        SHAPES["study"],
        name=name,
        layers=layers,
        width=width,
        heads=width // 128,
        kv_heads=width // 128,
        head_width=128,
        intermediate=intermediate,
        vocabulary=32_000,
        row=2048,
        rows=1,
        window=512,
        ratio=4,
        batch=1,
    )
    for name, layers, width, intermediate in (
        ("200M", 14, 1024, 2816),
        ("500M", 16, 1536, 4096),
        ("1B", 18, 2048, 5504),
    )
}
# By the sizes in their names' ends (config/presets/qwen.yaml), from the models' config.json.
QWEN = {
    name: replace(
        SIZES["200M"],
        name=name,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=2,
        head_width=head_width,
        intermediate=intermediate,
        vocabulary=151_936,
    )
    for name, layers, width, heads, head_width, intermediate in (
        ("05", 24, 896, 14, 64, 4864),
        ("15", 28, 1536, 12, 128, 8960),
    )
}
PRESETS = Path(__file__).parents[1] / "config/presets"


def parameters(shape: Shape) -> int:
    """Weights of the matrices, tied embeddings once."""
    return shape.layers * sum(m * n for m, n in flops.block_matrices(shape)) + shape.vocabulary * shape.width


def pretraining(shape: Shape) -> float:
    """Operations per token of pretraining: 6 N, and attention's 12 x layers x width x row."""
    passes = flops.FORWARD + flops.INPUT + flops.WEIGHT
    row = flops.layers(shape, shape.row, 1, passes) + flops.head(shape, shape.row, 1, passes)
    return row / shape.row


def hours(operations: float, gpu: str = "H100") -> float:
    """GPU hours at the assumed share of the peak."""
    return operations / (PEAKS[gpu] * USED) / 3600


def cost() -> list[list[str]]:
    """By size: operations, and GPU hours of one model, of six, of the study's models and compressors."""
    rows = [
        ["size", "weights", "operations per token", "one model", "six mixtures", "three seeds", "compressors", "all"]
    ]
    for shape in SIZES.values():
        model = hours(pretraining(shape) * TOKENS)
        passage = flops.compressor_step(shape) / shape.window
        compressors = hours(passage * COMPRESSOR_TOKENS) * MIXTURES**2 * RATIOS * SEEDS
        models = model * MIXTURES
        numbers = [model, models, models * SEEDS, compressors, models * SEEDS + compressors]
        said = [f"{number:,.0f}" for number in numbers]
        rows.append([shape.name, f"{parameters(shape) / 1e6:,.0f}M", f"{pretraining(shape):.3g}", *said])
    return rows


def elsewhere(results: Path) -> list[list[str]]:
    """One model of each size on other processors; the CPU's rate was measured, one thread of it, in bfloat16."""
    measured = json.loads(results.read_text(encoding="utf-8"))
    rate = next(row["ours"] * 1e9 for row in measured if row["name"] == "arithmetic of training, bfloat16")
    rows = [["size", "H100 hours", "A100 hours", "years of one CPU thread"]]
    for shape in SIZES.values():
        work = pretraining(shape) * TOKENS
        years = work / rate / 3600 / 24 / 365
        rows.append([shape.name, f"{hours(work):,.0f}", f"{hours(work, 'A100'):,.0f}", f"{years:,.0f}"])
    return rows


def memory() -> list[list[str]]:
    """GB per GPU of eight in pretraining: what is kept of the model, whole (DDP) and divided (FSDP), and of a step."""
    rows = [["size", "model, DDP", "model, FSDP over 8", "activations", "logits"]]
    for shape in SIZES.values():
        table = shape.vocabulary * shape.width
        # Weights and gradients in float32, Muon's momentum, AdamW's two for the embeddings, a bfloat16 copy to compute.
        kept = parameters(shape) * (4 + 4 + 4 + 2) + table * 4
        # Per token and layer about 34 bytes x width without attention's scores (Korthikanti et al., arXiv 2205.05198).
        activations = STEP_TOKENS * shape.layers * shape.width * 34
        logits = STEP_TOKENS * shape.vocabulary * (2 + 4 + 4)  # bfloat16, float32, and their gradient
        rows.append([shape.name, *(f"{size / 1e9:.1f}" for size in (kept, kept / 8, activations, logits))])
    return rows


def presets() -> list[list[str]]:
    """The presets for large models: their jobs, H100 hours, and the disk that models and compressors need."""
    rows = [["preset", "models", "compressors", "hours, models", "hours, compressors", "GB, models", "GB, compressors"]]
    for name in ("qwen", "paper"):
        plan = Plan(yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8")))
        sizes = {model: _size(plan, model) for model in plan.models.values()}
        trained = [model for model in sizes if model.seed is not None]
        schedule, row = plan.study.lm.pretraining.schedule, plan.study.lm.pretraining.row
        read = schedule.steps * schedule.batch * row
        pretrained = sum(hours(pretraining(replace(sizes[model], row=row)) * read) for model in trained)
        steps = plan.study.compressor.schedule.steps
        pressed = [(plan, sizes[job.encoder], sizes[job.decoder]) for job in plan.jobs.values()]
        numbers = [
            *(len(sizes), len(plan.jobs)),
            *(pretrained, sum(hours(steps * _step(*pair)) for pair in pressed)),
            sum(4 * parameters(size) for size in sizes.values()) / 1e9,
            sum(_folder(*pair) for pair in pressed) / 1e9,
        ]
        rows.append([f"`{name}`", *(f"{number:,.0f}" for number in numbers)])
    return rows


def _size(plan: Plan, model: Model) -> Shape:
    if model.config.load:
        return QWEN[model.name[-2:]]
    own = next(shape for shape in plan.study.lm.shapes if shape.name == model.config.shape)
    # The preset's shapes are those of SIZES, in the same order.
    return list(SIZES.values())[plan.study.lm.shapes.index(own)]


def _step(plan: Plan, encoder: Shape, decoder: Shape) -> int:
    """Operations of a step of a compressor's training, as ``flops.compressor_step``, without a curriculum.

    An encoder that learns by LoRA computes no gradients of its matrices; those of the updates are left out.
    """
    chosen, window = plan.study.compressor, plan.study.tokens.passages.window
    slots, batch = window // chosen.ratios[0], chosen.schedule.batch
    passes = flops.FORWARD + flops.INPUT + (flops.WEIGHT if chosen.encoder_training == "full" else 0)
    return (
        flops.layers(encoder, 1 + window, batch, passes)
        + flops.layers(decoder, slots + 2 + window - 1, batch, flops.FORWARD + flops.INPUT)
        + flops.head(decoder, window, batch, flops.FORWARD + flops.INPUT)
    )


def _folder(plan: Plan, encoder: Shape, decoder: Shape) -> int:
    """Bytes of a compressor in float32: the encoder, or its update of two factors a matrix, and the connector."""
    chosen = plan.study.compressor
    connector = 2 * max(encoder.width, decoder.width) * (encoder.width + decoder.width)
    factors = chosen.lora.rank * encoder.layers * sum(m + n for m, n in flops.block_matrices(encoder))
    return 4 * ((parameters(encoder) if chosen.encoder_training == "full" else factors) + connector)


def markdown(rows: list[list[str]]) -> str:
    """A table, the first row its head."""
    lines = [" | ".join(row) for row in [rows[0], ["---"] + ["---:"] * (len(rows[0]) - 1), *rows[1:]]]
    return "".join(f"| {line} |\n" for line in lines)


def tables() -> list[str]:
    """All of docs/scale.md."""
    return [markdown(rows) for rows in (cost(), elsewhere(Path(__file__).parent / "results.json"), memory(), presets())]


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables()))
