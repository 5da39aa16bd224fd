"""Steps of the compressor room."""

from __future__ import annotations

from pathlib import Path

import torch

from contextpress.compressor.debiasing import Debiasing
from contextpress.compressor.debiasing import debias as debias_compressor
from contextpress.compressor.description import DESCRIPTION, WEIGHTS, describe
from contextpress.compressor.folder import PARTS, build, load_compressor, parts_of, save_compressor
from contextpress.compressor.objectives import OBJECTIVES, Autoencoding, RestatingOtherTokens
from contextpress.compressor.other_tokens import OtherTokens
from contextpress.compressor.spec import CompressorSpec, DebiasSpec
from contextpress.compressor.training import train as train_compressor
from contextpress.lm.folder import CONFIG
from contextpress.runtime.checkpoint import fingerprint, work_in
from contextpress.runtime.device import device_name, prepare
from contextpress.tokens.arrays import load_arrays, windows
from contextpress.tokens.tokenizer import load_tokenizer


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
    encoder_tokenizer: Path | None = None,
    decoder_tokenizer: Path | None = None,
) -> None:
    """Train one compressor on the training text of all domains."""
    device = prepare(spec.seed, spec.schedule.processes)
    parts = parts_of(encoder, decoder, tokenizer, encoder_tokenizer, decoder_tokenizer)
    compressor = build(spec, parts, device)
    objective: Autoencoding = OBJECTIVES[spec.objective](compressor, spec.continuation_weight)
    retokenized = None
    if encoder_tokenizer or decoder_tokenizer:
        objective = RestatingOtherTokens(compressor, spec.continuation_weight)
        words = (load_tokenizer(folder or tokenizer) for folder in (None, encoder_tokenizer, decoder_tokenizer))
        retokenized = OtherTokens(spec, *words)
    passages = {}
    for domain, path in zip(spec.domains, arrays, strict=True):
        loaded = load_arrays(path)
        passages[domain] = windows(loaded["ids"], loaded["offsets"], spec.window * objective.spans)
    read = [folder / PARTS[role] for role, folder in parts.items()] + [encoder / CONFIG, decoder / CONFIG, *arrays]
    with work_in(checkpoints, fingerprint(spec, __name__, read)) as checkpoint:
        done = train_compressor(
            objective,
            passages,
            spec.domains,
            spec.schedule,
            spec.curriculum,
            spec.seed,
            spec.name,
            checkpoint,
            retokenized,
        )
        if checkpoint.main:
            save_compressor(compressor, spec, parts, output)
            done.keep(spec, device_name(device), output / "history.parquet", record)


def debias(
    *,
    spec: DebiasSpec,
    start: Path,
    mistakes: Path,
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    checkpoints: Path,
    output: Path,
    record: Path,
) -> None:
    """Go on with a trained compressor: the true passages against its decoder's own mistakes."""
    device = prepare(spec.seed, spec.schedule.processes)
    parts = parts_of(encoder, decoder, tokenizer)
    compressor = load_compressor(start, parts, device)
    pairs = load_arrays(mistakes)
    true, written = (torch.from_numpy(pairs[name].astype("int64")) for name in ("true", "written"))
    objective = Debiasing(compressor, spec.beta, spec.weight)
    read = [folder / PARTS[role] for role, folder in parts.items()] + [encoder / CONFIG, decoder / CONFIG]
    read += [start / WEIGHTS, start / DESCRIPTION, mistakes]
    with work_in(checkpoints, fingerprint(spec, __name__, read)) as checkpoint:
        done = debias_compressor(objective, true, written, spec.schedule, spec.seed, spec.name, checkpoint)
        if checkpoint.main:
            described = describe(start).spec.model_copy(update={"name": spec.name})
            save_compressor(compressor, described, parts, output)
            done.keep(spec, device_name(device), output / "history.parquet", record)
