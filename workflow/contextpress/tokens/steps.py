"""Steps of the tokens room."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from contextpress.corpus.documents import DOCUMENTS
from contextpress.corpus.records import QUESTIONS
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, write_json
from contextpress.runtime.tables import batches, read_table, write_table, writing
from contextpress.tokens.arrays import load_arrays, narrow, save_arrays, share_out, windows
from contextpress.tokens.asked import ASKED, ask
from contextpress.tokens.cut import cut_passages, ladder
from contextpress.tokens.own import retokenized
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.spec import MixtureSpec, OwnTokensSpec, PassagesSpec, QuestionsSpec, TokenizerSpec
from contextpress.tokens.tokenizer import encoded, load_tokenizer, ordinary_ids, train_tokenizer

log = logging.getLogger(__name__)
# The BPE sees at most this many characters of each domain, so that no domain owns the vocabulary.
TOKENIZER_CHARACTERS = 1_000_000
DOCUMENTS_AT_ONCE = 1024
RANDOM_SEED = 0  # one corpus of random tokens, as there is one of each mixture


def tokenizer(*, spec: TokenizerSpec, documents: list[Path], output: Path) -> None:
    """Train the study's tokenizer on equal amounts of each domain's training text, or load one."""
    if spec.load is not None:
        made = load_tokenizer(spec.load, spec.revision)
    else:
        made = train_tokenizer(_sample(documents), spec.vocabulary)
    with filling(output) as drafts:
        made.save_pretrained(drafts)


def encode(*, documents: Path, tokenizer: Path, output: Path) -> None:
    """Encode one domain's training documents into one array of ids."""
    loaded = load_tokenizer(tokenizer)
    ids = []
    for frame in batches([documents], DOCUMENTS, ["split", "text"], DOCUMENTS_AT_ONCE):
        texts = frame.loc[frame["split"] == "train", "text"].tolist()
        ids += [narrow(document, len(loaded)) for document in encoded(loaded, texts)]
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    save_arrays(output, ids=np.concatenate([narrow([], len(loaded)), *ids]), offsets=offsets)


def passages(*, spec: PassagesSpec, documents: list[Path], tokenizer: Path, output: Path, ladder_output: Path) -> None:
    """Cut the held-out documents of all domains into passages, and make the control ladder."""
    loaded = load_tokenizer(tokenizer)
    sample = []
    with writing(output, PASSAGES) as write:
        for path in documents:
            for split, wanted in (("validation", spec.validation), ("test", spec.test)):
                left = spec.ladder if split == "test" else 0
                held_out = partial(_held_out, path, split)
                for part in cut_passages(held_out, loaded, spec.window, wanted, f"tokens.passages.{split}"):
                    write(part)
                    if left:
                        sample.append(part.head(left))
                        left -= len(sample[-1])
    with writing(ladder_output, PASSAGES) as write:
        for part in sample:
            write(ladder(part, loaded))


def questions(*, spec: QuestionsSpec, questions: Path, tokenizer: Path, output: Path, asked_output: Path) -> None:
    """Cut held-out records into passages, and choose what is asked of each."""
    passages, asked = ask(read_table(questions, QUESTIONS), load_tokenizer(tokenizer), spec)
    write_table(output, passages, PASSAGES)
    write_table(asked_output, asked, ASKED)


def retokenize(
    *, spec: OwnTokensSpec, tokenizer: Path, passages: Path, ladder: Path, output: Path, ladder_output: Path
) -> None:
    """Write passages and ladder in the tokens of one model's own tokenizer; see ``own``."""
    words = load_tokenizer(tokenizer)
    for source, made in ((passages, output), (ladder, ladder_output)):
        sizes: list[int] = []
        with writing(made, PASSAGES) as write:
            for frame in batches([source], PASSAGES, count=DOCUMENTS_AT_ONCE):
                ids = encoded(words, frame["text"].tolist())
                sizes += map(len, ids)
                write(retokenized(frame, ids, words, spec.window))
            cut = sum(size > spec.window for size in sizes)
            if cut and source == passages:
                raise UserError(
                    f"config key lm.models: {spec.model} reads at most {spec.window} tokens of its own tokenizer of a "
                    f"passage, but {cut} of {len(sizes)} passages have more, up to {max(sizes)}; set its window to "
                    f"{max(sizes)}"
                )
        if cut:
            log.info("%d of %d disturbed passages are cut to %d tokens", cut, len(sizes), spec.window)


def _held_out(path: Path, split: str) -> Iterator[pd.DataFrame]:
    """Documents of one split, part by part."""
    empty = True
    for frame in batches([path], DOCUMENTS, count=DOCUMENTS_AT_ONCE):
        part = frame[frame["split"] == split]
        if len(part):
            empty = False
            yield part
    if empty:
        raise UserError(f"{path.name}: no document fell into the {split} split; give more text")


def mixture(*, spec: MixtureSpec, tokenizer: Path, arrays: list[Path], output: Path, manifest: Path) -> None:
    """Cut a pretraining corpus of equal size for every mixture: rows of each domain in the stated proportions."""
    parts, counts = [], {}
    total = spec.tokens // spec.row
    if not spec.weights:
        loaded = load_tokenizer(tokenizer)
        ordinary = narrow(ordinary_ids(loaded), len(loaded))
        parts.append(np.random.default_rng(RANDOM_SEED).choice(ordinary, (total, spec.row)))
        counts[spec.name] = total * spec.row
    for path, (domain, wanted) in zip(arrays, share_out(total, spec.weights).items(), strict=True):
        loaded = load_arrays(path)
        rows = windows(loaded["ids"], loaded["offsets"], spec.row)
        if len(rows) < wanted:
            raise UserError(
                f"config key corpus.mixture_tokens is {spec.tokens}: {spec.name} needs {wanted * spec.row} tokens of "
                f"domain {domain}, which has {len(rows) * spec.row}; raise corpus.characters or lower this"
            )
        parts.append(rows[:wanted])
        counts[domain] = wanted * spec.row
    save_arrays(output, rows=np.concatenate(parts))
    write_json(manifest, {"name": spec.name, "tokens": counts, "total": sum(counts.values())})


def _sample(documents: list[Path]) -> Iterator[str]:
    for path in documents:
        left = TOKENIZER_CHARACTERS
        for frame in batches([path], DOCUMENTS, ["split", "text"], DOCUMENTS_AT_ONCE):
            for text in frame.loc[frame["split"] == "train", "text"]:
                if left <= 0:
                    break
                yield text[:left]
                left -= len(text)
