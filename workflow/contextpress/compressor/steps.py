"""Steps of the compressor room."""

from __future__ import annotations

from pathlib import Path

from contextpress.compressor.folder import build, save_compressor
from contextpress.compressor.objectives import OBJECTIVES
from contextpress.compressor.spec import CompressorSpec
from contextpress.compressor.training import train as train_compressor
from contextpress.lm.folder import CONFIG, WEIGHTS
from contextpress.runtime.checkpoint import fingerprint, work_in
from contextpress.runtime.device import device_name, prepare
from contextpress.tokens.arrays import load_arrays, windows
from contextpress.tokens.tokenizer import TOKENIZER


def train(
    *,
    spec: CompressorSpec,
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    arrays: list[Path],
    checkpoints: Path,
    output: Path,
    record: Path,
) -> None:
    """Train one compressor on the training text of all domains."""
    device = prepare(spec.seed, spec.schedule.processes)
    compressor = build(spec, encoder, decoder, tokenizer, device)
    objective = OBJECTIVES[spec.objective](compressor, spec.continuation_weight)
    passages = {}
    for domain, path in zip(spec.domains, arrays, strict=True):
        loaded = load_arrays(path)
        passages[domain] = windows(loaded["ids"], loaded["offsets"], spec.window * objective.spans)
    read = [encoder / WEIGHTS, encoder / CONFIG, decoder / WEIGHTS, decoder / CONFIG, tokenizer / TOKENIZER, *arrays]
    with work_in(checkpoints, fingerprint(spec, __name__, read)) as checkpoint:
        done = train_compressor(
            objective, passages, spec.domains, spec.schedule, spec.curriculum, spec.seed, spec.name, checkpoint
        )
        if checkpoint.main:
            save_compressor(compressor, spec, encoder, decoder, tokenizer, output)
            done.keep(spec, device_name(device), output / "history.parquet", record)
