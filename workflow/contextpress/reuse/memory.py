"""Memory of texts, and the file that holds it: safetensors, the vectors and counts without the texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import replacing
from contextpress.runtime.spec import Spec, Whole, is_empty

KEY = "contextpress"  # of the file's metadata


class Maker(Spec):
    """The compressor that a memory comes from, and the only one that can read it."""

    folder: str = Field(description="where it was")
    sha256: str = Field(description="of its trained weights")


class _Header(Spec):
    """What a memory file says beside the vectors."""

    names: tuple[str, ...]
    tokens: tuple[Annotated[Whole, Field(gt=0)], ...]
    compressor: Maker
    written: tuple[tuple[Annotated[Whole, Field(ge=0)], ...], ...] | None = Field(None, exclude_if=is_empty)


@dataclass(frozen=True)
class Memory:
    """Memory of some texts.

    Attributes:
        vectors: of each text, [pieces * slots, features], float32.
        tokens: how many tokens each text has.
        names: what each text is called, such as its file.
        compressor: the one that made it.
        written: how many tokens the decoder has of each window of each text, if it writes tokens of its own.
    """

    vectors: tuple[Tensor, ...]
    tokens: tuple[int, ...]
    names: tuple[str, ...]
    compressor: Maker
    written: tuple[tuple[int, ...], ...] | None = None

    def __len__(self) -> int:
        """How many texts."""
        return len(self.vectors)

    def __getitem__(self, place: int) -> Self:
        """The memory of one text."""
        written = self.written and (self.written[place],)
        parts = (self.vectors[place],), (self.tokens[place],), (self.names[place],)
        return type(self)(*parts, self.compressor, written)

    def to_bytes(self) -> bytes:
        """A memory file; the same memory gives the same bytes."""
        header = _Header(names=self.names, tokens=self.tokens, compressor=self.compressor, written=self.written)
        tensors = {str(place): vectors.cpu().contiguous() for place, vectors in enumerate(self.vectors)}
        return save(tensors, {KEY: header.line()})

    @classmethod
    def from_bytes(cls, data: bytes, name: str | Path) -> Self:
        """Read a memory file called ``name``.

        Raises:
            UserError: if it is none.
        """
        try:
            tensors = load(data)
            # The format (https://huggingface.co/docs/safetensors): eight bytes say how long the JSON after them is.
            told = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
            header = _Header.model_validate_json(told[KEY])
            vectors = tuple(
                tensors[str(place)] for place, _ in enumerate(zip(header.names, header.tokens, strict=True))
            )
        except (SafetensorError, KeyError, ValueError):
            raise UserError(f"{name} is no memory file; contextpress compress writes one") from None
        return cls(vectors, header.tokens, header.names, header.compressor, header.written)

    def save(self, path: str | Path) -> None:
        """Write a memory file.

        Raises:
            UserError: see ``replacing``.
        """
        with replacing(Path(path)) as draft:
            draft.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a memory file.

        Raises:
            UserError: if it is none, or cannot be read.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        return cls.from_bytes(data, path)
