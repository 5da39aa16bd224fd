"""Compressors on disk: the trained weights, what they were trained on top of, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
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

OWN = ("encoder_tokenizer", "decoder_tokenizer")  # of those models that have one
# What a compressor is trained on top of, and the file of each that it is recognised by.
PARTS = {"encoder": MODEL_WEIGHTS, "decoder": MODEL_WEIGHTS, "tokenizer": TOKENIZER, **dict.fromkeys(OWN, TOKENIZER)}


def parts_of(
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    encoder_tokenizer: Path | None = None,
    decoder_tokenizer: Path | None = None,
) -> dict[str, Path]:
    """What a compressor is trained on top of: the folders that are given, by role."""
    folders = (encoder, decoder, tokenizer, encoder_tokenizer, decoder_tokenizer)
    return {role: folder for role, folder in zip(PARTS, folders, strict=True) if folder}


def build(spec: CompressorSpec, parts: Mapping[str, Path], device: torch.device) -> Compressor:
    """A compressor of two pretrained models, its new parts untrained; ``parts`` are folders by role."""
    reads, writes = (load_tokenizer(parts.get(role, parts["tokenizer"])) for role in OWN)
    return Compressor(
        load_model(parts["encoder"], device),
        load_model(parts["decoder"], device),
        spec.architecture,
        spec.window,
        writes.bos_token_id,
        restate_id(writes),
        reads.bos_token_id,
        spec.encoder_window,
    ).to(device)


def save_compressor(compressor: Compressor, spec: CompressorSpec, parts: Mapping[str, Path], folder: Path) -> None:
    """Save the weights that were trained; where the parts lie that the rest comes from, and their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as draft:
        save_file(_trained(compressor), draft)
        seals.seal(draft)
    told = {}
    for role, part in parts.items():
        file = part / PARTS[role]
        told[role] = Part(file=Path(os.path.relpath(file, folder)).as_posix(), sha256=sha256(file))
    write_json(folder / DESCRIPTION, Description(spec=spec, **told).model_dump(mode="json"))


def load_compressor(folder: Path, parts: Mapping[str, Path], device: torch.device) -> Compressor:
    """Put a trained compressor back on top of the very parts it was trained on, in evaluation mode.

    Raises:
        UserError: if one of them is another or is not there, a file is damaged, or the weights do not fit.
    """
    described = describe(folder)
    files = {role: part / PARTS[role] for role, part in parts.items()}
    lacking = [role for role in OWN if getattr(described, role) is not None and role not in parts]
    if lacking:
        raise UserError(
            f"compressor {folder}: one of its models has a tokenizer of its own, and no {lacking[0]} is given"
        )
    for role, file in files.items():
        if not file.is_file():
            raise UserError(f"compressor {folder}: its {role} is not at {file.parent} (no file {file.name})")
    compressor = build(described.spec, parts, device)
    # Only now: of a damaged part the loading tells more.
    for role, file in files.items():
        recorded = getattr(described, role)
        if recorded is None or sha256(file) != recorded.sha256:
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
