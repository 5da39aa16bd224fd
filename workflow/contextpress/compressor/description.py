"""What a compressor's folder says of itself, read without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contextpress.compressor.spec import CompressorSpec
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json
from contextpress.runtime.spec import Spec, is_empty

WEIGHTS, DESCRIPTION = "compressor.safetensors", "compressor.json"


class Part(Spec):
    """Something that a compressor was trained on top of."""

    file: str = Field(description="what it is recognised by, as seen from the compressor's folder: a model's weights")
    sha256: str = Field(description="of that file")


class Description(Spec):
    """What stands beside a compressor's weights: all that is needed to put them to use."""

    spec: CompressorSpec
    encoder: Part
    decoder: Part
    tokenizer: Part
    encoder_tokenizer: Part | None = Field(None, exclude_if=is_empty, description="its own, if it has one")
    decoder_tokenizer: Part | None = Field(None, exclude_if=is_empty, description="its own, if it has one")


def describe(folder: Path) -> Description:
    """The description of the compressor in ``folder``.

    Raises:
        UserError: if there is none, or it is damaged.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError(f"{folder} is no compressor's folder: it has no {DESCRIPTION}")
    told = read_json(path)
    try:
        return Description.read(told)
    except UserError as error:
        raise UserError(f"{path} describes no compressor: {error}") from None
