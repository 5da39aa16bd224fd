"""A study of models with tokenizers of their own, of several families and widths, through the steps that make it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from contextpress.compressor.folder import load_compressor, parts_of
from contextpress.compressor.spec import Architecture, CompressorSpec, Curriculum
from contextpress.compressor.steps import train
from contextpress.lm.folder import save_model
from contextpress.lm.spec import LoadSpec
from contextpress.lm.steps import load
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.arrays import save_arrays
from contextpress.tokens.cut import ladder
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.spec import OwnTokensSpec, TokenizerSpec
from contextpress.tokens.steps import retokenize, tokenizer
from contextpress.tokens.tokenizer import load_tokenizer, train_tokenizer
from tests.unit.models import end_only, tiny

STORY = (
    "Once upon a time there was a little girl who had a red ball. She liked to play with it in the garden, and every "
    "day her friend Tom came to see her. One day the ball rolled away, down the hill and into the river! They ran "
    "after it, but it was gone. Tom said: do not be sad, we can look for it, été comme hiver. "
)
CODE = "def add(self, left, right):\n    return left + right\n\nfor index in range(10):\n    total += values[index]\n"
WINDOW, TEXT = 8, STORY + CODE
DEVICE = torch.device("cpu")


# Of each model: family, width, tokenizer, and the window of those that read their own.
MODELS = {
    "plain": ("llama", 32, lambda: train_tokenizer([TEXT] * 5, 330), None),
    "qwen": ("qwen2", 48, lambda: end_only([CODE] * 5, 290), 24),
    "neox": ("gpt-neox", 64, lambda: train_tokenizer([STORY] * 5, 300), 20),
}


class Study:
    """The files of a study up to the passages, as its rules make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words, self.models, self.passages = {}, {}, {}
        study = MODELS["plain"][2]()
        study.save_pretrained(folder / "tokens/tokenizer")
        self.study = load_tokenizer(folder / "tokens/tokenizer")
        self._cut()
        for place, (name, (family, width, made, window)) in enumerate(MODELS.items()):
            there = folder / "hub" / name
            words = made()
            words.save_pretrained(there)
            save_model(tiny(family, seed=place, vocab_size=len(words) + 3 * place, hidden_size=width), there)
            self.words[name], self.passages[name] = folder / "tokens/tokenizer", self.whole
            if window:
                self.words[name] = folder / "tokens/own" / name
                tokenizer(spec=TokenizerSpec(load=str(there)), documents=[], output=self.words[name])
                self.passages[name] = [self.words[name] / "passages.parquet", self.words[name] / "ladder.parquet"]
                passages, disturbed = self.whole
                made, made_disturbed = self.passages[name]
                spec = OwnTokensSpec(model=name, window=window)
                retokenize(
                    spec=spec,
                    tokenizer=self.words[name],
                    passages=passages,
                    ladder=disturbed,
                    output=made,
                    ladder_output=made_disturbed,
                )
            self.models[name] = folder / "lm" / name
            spec = LoadSpec(name=name, path=str(there), revision=None, positions=64)
            load(spec=spec, tokenizer=self.words[name], output=self.models[name], record=folder / "record.json")

    def _cut(self) -> None:
        ids = self.study(TEXT * 2, add_special_tokens=False)["input_ids"]
        save_arrays(
            self.folder / "train.safetensors", ids=np.array(ids, dtype=np.uint16), offsets=np.array([0, len(ids)])
        )
        rows = []
        for number, start in enumerate(range(0, len(ids) // 2 - WINDOW, WINDOW)):
            own = ids[start : start + WINDOW]
            text = self.study.decode(own)
            if "\ufffd" not in text:
                rows.append(
                    {
                        "passage_id": f"prose/{number:06d}:0",
                        "document_id": f"prose/{number:06d}",
                        "domain": "prose",
                        "source": "a.txt",
                        "split": "validation" if number % 4 == 0 else "test",
                        "variant": "normal",
                        "start": 0,
                        "text": text,
                        "token_ids": own,
                        "bytes": len(text.encode()),
                        "entropy_rate": None,
                    }
                )
        normal = pd.DataFrame(rows)
        self.whole = [self.folder / "tokens/passages.parquet", self.folder / "tokens/ladder.parquet"]
        write_table(self.whole[0], normal, PASSAGES)
        write_table(self.whole[1], ladder(normal[normal["split"] == "test"].head(2), self.study), PASSAGES)

    def own(self, encoder: str, decoder: str) -> dict[str, Path]:
        """Options of a step: tokenizers of those that have their own."""
        named = {"encoder_tokenizer": encoder, "decoder_tokenizer": decoder}
        return {role: self.words[name] for role, name in named.items() if MODELS[name][3]}

    def spec(self, encoder: str, decoder: str, readout: str = "mean_pool", ratio: int = 4) -> CompressorSpec:
        return CompressorSpec(
            name=f"{encoder}-{decoder}-{readout}-r{ratio}-s0",
            encoder=encoder,
            decoder=decoder,
            architecture=Architecture(readout=readout, ratio=ratio),
            objective="autoencoding",
            continuation_weight=0.5,
            schedule=Schedule(steps=2, batch=3, learning_rate=0.01),
            curriculum=Curriculum(),
            window=WINDOW,
            domains={"prose": 1.0},
            seed=0,
            encoder_window=MODELS[encoder][3],
            decoder_window=MODELS[decoder][3],
        )

    def trained(self, spec: CompressorSpec) -> Path:
        made = self.folder / "compressors" / spec.name
        if not made.exists():
            train(
                spec=spec,
                encoder=self.models[spec.encoder],
                decoder=self.models[spec.decoder],
                tokenizer=self.folder / "tokens/tokenizer",
                arrays=[self.folder / "train.safetensors"],
                checkpoints=self.folder / "checkpoints" / spec.name,
                output=made,
                record=made / "record.json",
                **self.own(spec.encoder, spec.decoder),
            )
        return made

    def loaded(self, spec: CompressorSpec):
        models = self.models[spec.encoder], self.models[spec.decoder]
        parts = parts_of(*models, self.folder / "tokens/tokenizer", **self.own(spec.encoder, spec.decoder))
        return load_compressor(self.trained(spec), parts, DEVICE)


def read_whole(paths: list[Path], schema=PASSAGES) -> pd.DataFrame:
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True)
