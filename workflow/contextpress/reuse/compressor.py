"""A trained compressor as others use it: ``from contextpress import Compressor``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from contextpress.compressor.description import WEIGHTS, describe
from contextpress.compressor.folder import OWN, load_compressor, save_compressor
from contextpress.compressor.reading import joined
from contextpress.lm.folder import CONFIG
from contextpress.lm.folder import WEIGHTS as MODEL_WEIGHTS
from contextpress.reconstruction.greedy import stepwise
from contextpress.reuse.memory import Maker, Memory
from contextpress.reuse.pieces import Piece, pieces
from contextpress.runtime.device import rows_at_once
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, replacing, sha256
from contextpress.tokens.own import filled
from contextpress.tokens.tokenizer import encoded, load_tokenizer

CARD = "README.md"
# Of a part's folder: what its loading reads. A study keeps losses and records there as well.
NEEDED = {
    "encoder": (MODEL_WEIGHTS, CONFIG, "generation_config.json"),
    "decoder": (MODEL_WEIGHTS, CONFIG, "generation_config.json"),
    "tokenizer": ("*.json",),
    **dict.fromkeys(OWN, ("*.json",)),  # of those that have them
}


class Compressor:
    """Presses texts into memory vectors, and has its decoder write them back.

    A text longer than the window is pressed window by window, each by itself; see ``pieces``.

    Attributes:
        tokenizer: the study's: of encoder and decoder, where they have no tokenizer of their own. It cuts texts into
            windows, and counts.
        decoder: the language model that reads the memory.
        window: tokens that are pressed at once.
        ratio: tokens per memory vector.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """See ``from_pretrained``."""
        self._folder, self._described = folder, describe(folder)
        told = {role: getattr(self._described, role) for role in NEEDED}
        self._parts = {role: (folder / part.file).parent for role, part in told.items() if part}
        self._model = load_compressor(folder, self._parts, device)
        self._device = device
        self._maker = Maker(folder=str(folder.resolve()), sha256=sha256(folder / WEIGHTS))
        self.tokenizer = load_tokenizer(self._parts["tokenizer"])
        self._reads, self._writes = (load_tokenizer(self._parts[role]) if role in self._parts else None for role in OWN)
        self.decoder: PreTrainedModel = self._model.decoder
        self.window, self.ratio = self._model.window, self._model.ratio

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Load a compressor's folder: one of a study, whose models lie beside it, or what ``save_pretrained`` wrote.

        Raises:
            UserError: if it is none, or a part that it was trained on top of is not there or is another one.
        """
        return cls(Path(folder).expanduser(), torch.device(device))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that holds all that is needed: trained weights, both models, tokenizer, model card.

        Raises:
            UserError: see ``replacing``.
        """
        folder = Path(folder).expanduser()
        for role, source in self._parts.items():
            with filling(folder / role) as drafts:
                for path in sorted(path for pattern in NEEDED[role] for path in source.glob(pattern)):
                    shutil.copyfile(path, drafts / path.name)
        copied = {role: folder / role for role in self._parts}
        save_compressor(self._model, self._described.spec, copied, folder)
        card = self._folder / CARD
        if card.is_file() and folder.resolve() != self._folder.resolve():
            with replacing(folder / CARD) as draft:
                shutil.copyfile(card, draft)

    @torch.no_grad()
    def compress(self, texts: Sequence[str], names: Sequence[str] | None = None) -> Memory:
        """Memory of texts, one vector for each ``ratio`` tokens.

        The last window of a text that is no whole number of windows overlaps the one before. A text shorter than a
        window is filled up to a multiple of the ratio by its last token. An encoder with a tokenizer of its own reads
        the text of each window in its own tokens; see tokens/own.py.

        Args:
            texts: at least one, none of them empty.
            names: what to call them in a memory file; by default their numbers.

        Raises:
            UserError: if a text has no token, or ``texts`` is a single string.
        """
        if isinstance(texts, str) or not texts:
            raise UserError("compress takes a list of one text or more")
        names = tuple(names or map(str, range(len(texts))))
        ids = encoded(self.tokenizer, texts)
        for name, own in zip(names, ids, strict=True):
            if not own:
                raise UserError(f"text {name} is empty")
        cut = [pieces(len(own), self.window, self.ratio) for own in ids]
        whole = [(own, piece) for own, parts in zip(ids, cut, strict=True) for piece in parts]
        windows = [own[piece.start : piece.start + piece.tokens] for own, piece in whole]
        rows = self._rows(windows, [piece.slots for _, piece in whole])
        memory = _by_size(rows, self._rows_at_once(), self._model.compress)
        vectors = tuple(torch.cat([next(memory) for _ in parts]) for parts in cut)
        written = None
        if self._writes:
            most = self._described.spec.decoder_window
            counts = (len(row[:most]) for row in self._retold(windows, self._writes))
            written = tuple(tuple(next(counts) for _ in parts) for parts in cut)
        return Memory(vectors, tuple(map(len, ids)), names, self._maker, written)

    @torch.no_grad()
    def reconstruct(self, memory: Memory) -> list[str]:
        """What the decoder writes of each text from its memory: plain greedy decoding, as many tokens as the text has.

        Of a window that overlaps the next one, only the beginning is taken; where the decoder writes tokens of its own,
        that is counted in the tokens of ``tokenizer`` again.

        Raises:
            UserError: if the memory is another compressor's.
        """
        windows = self._windows(memory)
        longest = max((max(own) for own in memory.written or ()), default=0)

        def write(batch: Tensor) -> Tensor:
            length = longest or batch.shape[1] * self.ratio
            return stepwise(self.decoder, self._model.prefix(batch), length, batch=len(batch))[0]

        written = _by_size([row for text in windows for row, _ in text], self._rows_at_once(), write)
        if self._writes and memory.written:
            return [
                "".join(
                    self._kept(next(written)[:count], piece) for (_, piece), count in zip(text, counts, strict=True)
                )
                for text, counts in zip(windows, memory.written, strict=True)
            ]
        ids = [torch.cat([next(written)[: piece.kept] for _, piece in text]).tolist() for text in windows]
        return [self.tokenizer.decode(own, clean_up_tokenization_spaces=False) for own in ids]

    @torch.no_grad()
    def inputs_embeds(self, memory: Memory, followed_by: str = "") -> Tensor:
        """What the decoder is to read, for ``compressor.decoder.generate(inputs_embeds=...)``.

            <bos> z_1 ... z_S <restate> followed_by

        Returns:
            One row for each window of the texts, [windows, S + 2 + tokens, width or wider].

        Raises:
            UserError: if the memory is another compressor's, or its windows differ in size; those of one text,
                ``memory[i]``, do not.
        """
        rows = [row for text in self._windows(memory) for row, _ in text]
        sizes = sorted({len(row) for row in rows})
        if len(sizes) > 1:
            raise UserError(
                f"windows of {sizes[0]} and of {sizes[-1]} vectors do not fit into one tensor; take one text at a "
                "time: memory[i]"
            )
        prefix = self._model.prefix(torch.stack(rows))
        (ids,) = encoded(self._writes or self.tokenizer, [followed_by])
        text = torch.tensor([ids] * len(rows), dtype=torch.long, device=self._device)
        return joined([prefix, self._model.embed(text)])

    def _rows(self, windows: list[list[int]], slots: list[int]) -> list[Tensor]:
        """What the encoder reads of each window, filled up for as many vectors as it is to have."""
        if self._reads:
            read, each, bos = self._retold(windows, self._reads), self._model.read_per_vector(), self._model.encoder_bos
            rows = [filled([row], count * each, bos) for row, count in zip(read, slots, strict=True)]
        else:
            rows = [filled([row], count * self.ratio, row[-1]) for row, count in zip(windows, slots, strict=True)]
        return [torch.from_numpy(row[0]).to(self._device) for row in rows]

    def _retold(self, windows: list[list[int]], words: PreTrainedTokenizerBase) -> list[list[int]]:
        """The text of each window in other tokens."""
        return encoded(words, self.tokenizer.batch_decode(windows, clean_up_tokenization_spaces=False))

    def _kept(self, ids: Tensor, piece: Piece) -> str:
        """What a text takes of a window that the decoder has written in tokens of its own."""
        assert self._writes
        text = str(self._writes.decode(ids.tolist(), clean_up_tokenization_spaces=False))
        if piece.kept == piece.tokens:
            return text
        (own,) = encoded(self.tokenizer, [text])
        return str(self.tokenizer.decode(own[: piece.kept], clean_up_tokenization_spaces=False))

    def _windows(self, memory: Memory) -> list[list[tuple[Tensor, Piece]]]:
        """The memory [S, features] of each window of each text, and what it was pressed from."""
        if memory.compressor.sha256 != self._maker.sha256:
            raise UserError(f"the memory was made by another compressor, {memory.compressor.folder}")
        found = []
        for vectors, tokens, name in zip(memory.vectors, memory.tokens, memory.names, strict=True):
            cut = pieces(tokens, self.window, self.ratio)
            sizes = [piece.slots for piece in cut]
            if sum(sizes) != len(vectors):
                raise UserError(f"the memory of {name} has {len(vectors)} vectors; {tokens} tokens have {sum(sizes)}")
            found.append(list(zip(vectors.to(self._device).split(sizes), cut, strict=True)))
        return found

    def _rows_at_once(self) -> int:
        return rows_at_once(self._device, 1 + self._model.slots * (self._model.read_per_vector() + 1))


def _by_size(rows: list[Tensor], at_once: int, compute: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Apply ``compute`` to batches of rows of one size; its rows come in the order of ``rows``."""
    done: dict[int, Tensor] = {}
    for size in sorted({len(row) for row in rows}):
        places = [place for place, row in enumerate(rows) if len(row) == size]
        results = [compute(batch) for batch in torch.stack([rows[place] for place in places]).split(at_once)]
        done.update(zip(places, torch.cat(results), strict=True))
    return (done[place] for place in range(len(rows)))
