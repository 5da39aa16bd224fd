"""Compressors on disk: the trained weights, what they were trained on top of, and how."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from contextpress.compressor.description import DESCRIPTION, WEIGHTS, Description, Part, describe
from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import CompressorSpec
from contextpress.lm.folder import WEIGHTS as MODEL_WEIGHTS
from contextpress.lm.folder import load_model
from contextpress.runtime import seals
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import reading, replacing, sha256, write_json
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
        seals.seal(draft)
    parts = {}
    for role, part in (("encoder", encoder), ("decoder", decoder), ("tokenizer", tokenizer)):
        file = part / PARTS[role]
        parts[role] = Part(file=Path(os.path.relpath(file, folder)).as_posix(), sha256=sha256(file))
    write_json(folder / DESCRIPTION, Description(spec=spec, **parts).model_dump(mode="json"))


def load_compressor(folder: Path, encoder: Path, decoder: Path, tokenizer: Path, device: torch.device) -> Compressor:
    """Put a trained compressor back on top of the very parts it was trained on, in evaluation mode.

    Raises:
        UserError: if one of them is another or is not there, a file is damaged, or the weights do not fit.
    """
    described = describe(folder)
    parts = {role: path / PARTS[role] for role, path in zip(PARTS, (encoder, decoder, tokenizer), strict=True)}
    for role, file in parts.items():
        if not file.is_file():
            raise UserError(f"compressor {folder}: its {role} is not at {file.parent} (no file {file.name})")
    compressor = build(described.spec, encoder, decoder, tokenizer, device)
    # Only now: of a damaged part the loading tells more.
    for role, file in parts.items():
        if sha256(file) != getattr(described, role).sha256:
            raise UserError(f"compressor {folder} was trained on another {role} than {file.parent}: the files differ")
    with reading(folder / WEIGHTS, "safetensors"):
        seals.check(folder / WEIGHTS)
        weights = load_file(folder / WEIGHTS, device=str(device))
    wanted = _trained(compressor)
    if {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in wanted.items()}:
        raise UserError(f"compressor {folder}: {WEIGHTS} does not hold the weights that {DESCRIPTION} describes")
    compressor.load_state_dict(weights, strict=False)
    return compressor.eval()


def _trained(compressor: Compressor) -> dict[str, torch.Tensor]:
    return {name: p.detach().contiguous() for name, p in compressor.named_parameters() if p.requires_grad}
