"""Steps of the lm room."""

from __future__ import annotations

from pathlib import Path

import torch

from contextpress.lm.folder import CONFIG, WEIGHTS, load_model, save_model, sees_ahead
from contextpress.lm.infusion import infused as infused_rows
from contextpress.lm.merging import merge as merge_models
from contextpress.lm.pretrain import new_model, pretrain, warm_up
from contextpress.lm.spec import InfusionSpec, LoadSpec, MergeSpec, PretrainSpec, WarmupSpec
from contextpress.runtime.checkpoint import fingerprint, work_in
from contextpress.runtime.device import device_name, prepare
from contextpress.runtime.errors import UserError
from contextpress.runtime.history import History
from contextpress.runtime.hub import commit_of
from contextpress.tokens.arrays import load_arrays
from contextpress.tokens.tokenizer import TOKENIZER, load_tokenizer, ordinary_ids, restate_id


def warmup(*, spec: WarmupSpec, tokenizer: Path, checkpoints: Path, output: Path, record: Path) -> None:
    """Teach a new model to restate random ids; the start of all models of this shape."""
    device = prepare(spec.shape.seed, spec.warmup.schedule.processes)
    words = load_tokenizer(tokenizer)
    bos, restate = _marks(words.bos_token_id, restate_id(words))
    model = new_model(spec.shape, len(words), bos, device)
    ordinary = torch.tensor(ordinary_ids(words))
    with work_in(checkpoints, fingerprint(spec, __name__, [tokenizer / TOKENIZER])) as checkpoint:
        done = warm_up(model, spec, ordinary, bos, restate, checkpoint)
        if checkpoint.main:
            save_model(model, output)
            done.keep(spec, device_name(device), output / "history.parquet", record)


def train(
    *, spec: PretrainSpec, start: Path, rows: Path, tokenizer: Path, checkpoints: Path, output: Path, record: Path
) -> None:
    """Pretrain one model on its mixture."""
    _go_on(spec, start, _windows(rows), [rows], tokenizer, checkpoints, output, record)


def infuse(
    *,
    spec: InfusionSpec,
    start: Path,
    rows: Path,
    infused: Path,
    tokenizer: Path,
    checkpoints: Path,
    output: Path,
    record: Path,
) -> None:
    """Go on with the pretraining of one model, on its own mixture and on a share of another one."""
    windows = infused_rows(_windows(rows), _windows(infused), spec.share, spec.rows, spec.seed)
    _go_on(spec, start, windows, [rows, infused], tokenizer, checkpoints, output, record)


def merge(*, spec: MergeSpec, models: list[Path], output: Path, record: Path) -> None:
    """Merge several models of one shape into one, without training."""
    device = prepare(0)
    loaded = [load_model(folder, device) for folder in models]
    shares = merge_models(loaded, [str(folder) for folder in models], spec.rule)
    save_model(loaded[0], output)
    History().keep(spec, device_name(device), output / "history.parquet", record, shares=shares)


def load(*, spec: LoadSpec, tokenizer: Path, output: Path, record: Path) -> None:
    """Load a model by path or hub id, check that it reads these tokens, the study's or its own, and save it."""
    device = prepare(0)
    words, own = load_tokenizer(tokenizer), load_tokenizer(spec.path, spec.revision)
    if own.get_vocab() != words.get_vocab():
        raise UserError(
            f"model {spec.name} ({spec.path}) has another tokenizer than the study: set its tokenizer to own, or "
            f"tokens.tokenizer.load to {spec.path}"
        )
    model = load_model(spec.path, device, spec.revision)
    if model.get_input_embeddings().num_embeddings < len(words):
        raise UserError(
            f"model {spec.name} ({spec.path}) has {model.get_input_embeddings().num_embeddings} embeddings, fewer than "
            f"the {len(words)} entries of its tokenizer"
        )
    if sees_ahead(model, len(words)):
        raise UserError(
            f"model {spec.name} ({spec.path}) is of type {model.config.model_type} and sees tokens that are still to "
            "come, or computes what is no number; a causal language model is wanted"
        )
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and longest < spec.positions:
        raise UserError(
            f"model {spec.name} ({spec.path}) reads at most {longest} positions; config key tokens.passages.window, "
            f"or the model's own window, with memory and marks, needs {spec.positions}"
        )
    save_model(model, output)
    commit = commit_of(spec.path, spec.revision, CONFIG)
    History().keep(spec, device_name(device), output / "history.parquet", record, commit=commit)


def _go_on(
    spec: PretrainSpec,
    start: Path,
    windows: torch.Tensor,
    sources: list[Path],
    tokenizer: Path,
    checkpoints: Path,
    output: Path,
    record: Path,
) -> None:
    """Next-token prediction on ``windows`` [n, row], which were read from ``sources``, from the model in ``start``."""
    device = prepare(spec.seed, spec.pretraining.schedule.processes)
    words = load_tokenizer(tokenizer)
    bos, restate = _marks(words.bos_token_id, restate_id(words))
    model = load_model(start, device).train()
    ordinary = torch.tensor(ordinary_ids(words))
    read = [start / WEIGHTS, start / CONFIG, *sources, tokenizer / TOKENIZER]
    with work_in(checkpoints, fingerprint(spec, __name__, read)) as checkpoint:
        done = pretrain(
            model, spec.pretraining, spec.groups, windows, ordinary, bos, restate, spec.seed, spec.name, checkpoint
        )
        if checkpoint.main:
            save_model(model, output)
            done.keep(spec, device_name(device), output / "history.parquet", record)


def _windows(rows: Path) -> torch.Tensor:
    return torch.from_numpy(load_arrays(rows)["rows"].astype("int32"))


def _marks(bos: int, restate: int | None) -> tuple[int, int]:
    if restate is None:
        raise UserError(
            "models are pretrained with this study's own tokenizer, which has a <restate> token; "
            "with tokens.tokenizer.load every model must be loaded too"
        )
    return bos, restate
