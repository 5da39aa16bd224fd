"""Compressors on disk: the trained weights, what they were trained on top of, and how."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import CompressorSpec
from contextpress.lm.folder import load_model, weights_hash
from contextpress.runtime import seals
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, reading, replacing, write_json
from contextpress.tokens.tokenizer import load_tokenizer, restate_id

WEIGHTS, DESCRIPTION = "compressor.safetensors", "compressor.json"


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


def save_compressor(compressor: Compressor, spec: CompressorSpec, encoder: Path, decoder: Path, folder: Path) -> None:
    """Save the weights that were trained, and the hashes of the models that the rest comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as draft:
        save_file(_trained(compressor), draft)
        seals.seal(draft)
    write_json(
        folder / DESCRIPTION,
        {
            "spec": spec.model_dump(mode="json"),
            "encoder_sha256": weights_hash(encoder),
            "decoder_sha256": weights_hash(decoder),
        },
    )


def load_compressor(folder: Path, encoder: Path, decoder: Path, tokenizer: Path, device: torch.device) -> Compressor:
    """Put a trained compressor back on top of the very models it was trained on, in evaluation mode.

    Raises:
        UserError: if ``encoder`` or ``decoder`` are other models, a file is damaged, or the weights do not fit.
    """
    described = read_json(folder / DESCRIPTION)
    compressor = build(CompressorSpec.read(described["spec"]), encoder, decoder, tokenizer, device)
    for role, path in (("encoder", encoder), ("decoder", decoder)):
        if weights_hash(path) != described[f"{role}_sha256"]:
            raise UserError(f"compressor {folder} was trained on another {role} than {path}: the weights differ")
    with reading(folder / WEIGHTS, "safetensors"):
        seals.check(folder / WEIGHTS)
        weights = load_file(folder / WEIGHTS, device=str(device))
    if weights.keys() != _trained(compressor).keys():
        raise UserError(f"compressor {folder}: {WEIGHTS} does not hold the weights that {DESCRIPTION} describes")
    compressor.load_state_dict(weights, strict=False)
    return compressor.eval()


def _trained(compressor: Compressor) -> dict[str, torch.Tensor]:
    return {name: p.detach().contiguous() for name, p in compressor.named_parameters() if p.requires_grad}
