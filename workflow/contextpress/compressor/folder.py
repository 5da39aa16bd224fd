"""Compressors on disk: the trained weights, what they were trained on top of, and how."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from contextpress.compressor.description import DESCRIPTION, WEIGHTS, Description, Part, describe
from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import CompressorSpec
from contextpress.lm.folder import WEIGHTS as MODEL_WEIGHTS
from contextpress.lm.folder import load_model
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import replacing, sha256, write_json
from contextpress.tokens.tokenizer import TOKENIZER, load_tokenizer, restate_id

# What a compressor is trained on top of, and the file of each that it is recognised by.
PARTS = {"encoder": MODEL_WEIGHTS, "decoder": MODEL_WEIGHTS, "tokenizer": TOKENIZER}


def build(spec: CompressorSpec, encoder: Path, decoder: Path, tokenizer: Path, device: torch.device) -> Compressor:
    """A compressor of two pretrained models, its new parts untrained."""
    words = load_tokenizer(tokenizer)
    return Compressor(
        load_model(encoder, device),
        load_model(decoder, device),
        spec.architecture,
        spec.window,
        words.bos_token_id,
        restate_id(words),
    ).to(device)


def save_compressor(
    compressor: Compressor, spec: CompressorSpec, encoder: Path, decoder: Path, tokenizer: Path, folder: Path
) -> None:
    """Save the weights that were trained; where the parts lie that the rest comes from, and their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as draft:
        save_file(_trained(compressor), draft)
    parts = {}
    for role, part in (("encoder", encoder), ("decoder", decoder), ("tokenizer", tokenizer)):
        file = part / PARTS[role]
        parts[role] = Part(file=Path(os.path.relpath(file, folder)).as_posix(), sha256=sha256(file))
    write_json(folder / DESCRIPTION, Description(spec=spec, **parts).model_dump(mode="json"))


def load_compressor(folder: Path, encoder: Path, decoder: Path, tokenizer: Path, device: torch.device) -> Compressor:
    """Put a trained compressor back on top of the very parts it was trained on, in evaluation mode.

    Raises:
        UserError: if one of them is another or is not there, or the weights do not fit.
    """
    described = describe(folder)
    for role, path in (("encoder", encoder), ("decoder", decoder), ("tokenizer", tokenizer)):
        kept = path / PARTS[role]
        if not kept.is_file():
            raise UserError(f"compressor {folder}: its {role} is not at {path} (no file {PARTS[role]})")
        if sha256(kept) != getattr(described, role).sha256:
            raise UserError(f"compressor {folder} was trained on another {role} than {path}: the files differ")
    compressor = build(described.spec, encoder, decoder, tokenizer, device)
    try:
        weights = load_file(folder / WEIGHTS, device=str(device))
    except (OSError, SafetensorError) as error:
        raise UserError(f"compressor {folder}: {WEIGHTS} cannot be read: {error}") from None
    wanted = _trained(compressor)
    if {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in wanted.items()}:
        raise UserError(f"compressor {folder}: {WEIGHTS} does not hold the weights that {DESCRIPTION} describes")
    compressor.load_state_dict(weights, strict=False)
    return compressor.eval()


def _trained(compressor: Compressor) -> dict[str, torch.Tensor]:
    return {name: p.detach().contiguous() for name, p in compressor.named_parameters() if p.requires_grad}
