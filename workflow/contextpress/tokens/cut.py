"""Cutting held-out documents into passages, and disturbing passages for the control ladder."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contextpress.runtime.errors import UserError
from contextpress.tokens.passages import VARIANTS
from contextpress.tokens.tokenizer import encoded, ordinary_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def cut_passages(
    documents: Callable[[], Iterable[pd.DataFrame]],
    tokenizer: PreTrainedTokenizerBase,
    window: int,
    wanted: int,
    key: str,
) -> Iterator[pd.DataFrame]:
    """Choose ``wanted`` windows of ``window`` tokens from the documents of one domain and split.

    Every document gives one window before any gives its second, and so on, both in the order of a hash of their
    names, so that the choice needs no random state and a larger number only adds passages.

    The documents are read twice, first to choose and then to cut: of what is not chosen, 20 bytes per window are held.

    Args:
        documents: gives rows of the documents table, part by part, each time it is called.
        tokenizer: the study's tokenizer.
        window: tokens per passage.
        wanted: passages to choose.
        key: config key that asked for this number, for the error message.

    Yields:
        passages of each part, in the order of the documents.

    Raises:
        UserError: if the documents hold fewer windows.
    """
    chosen = _choose(documents(), tokenizer, window, wanted, key)
    place = 0
    for part in documents():
        here = {number: chosen[place + number] for number in range(len(part)) if place + number in chosen}
        place += len(part)
        if here:
            yield _cut(part.iloc[list(here)], list(here.values()), tokenizer, window)


def _choose(
    documents: Iterable[pd.DataFrame], tokenizer: PreTrainedTokenizerBase, window: int, wanted: int, key: str
) -> dict[int, list[int]]:
    """First tokens of the chosen windows, by the place of their document."""
    found: list[NDArray[np.int32]] = []  # place of the document, first token, turn
    orders: list[NDArray[np.uint64]] = []
    place, domain = 0, "of the split"
    for part in documents:
        domain = str(part["domain"].iloc[0])
        for name, ids in zip(part["document_id"], encoded(tokenizer, part["text"].tolist()), strict=True):
            starts = range(0, len(ids) - window + 1, window)
            ordered = sorted(starts, key=lambda start: name_hash(f"{name}:{start}"))
            # A window that cuts a character in two is none: its text would not be its tokens'.
            whole = [start for start in ordered if "\ufffd" not in _text(tokenizer, ids[start : start + window])]
            found.append(
                np.array([[place, start, turn] for turn, start in enumerate(whole)], dtype=np.int32).reshape(-1, 3)
            )
            orders.append(np.full(len(whole), int(name_hash(name)[:16], 16), dtype=np.uint64))
            place += 1
    places, starts, turns = np.concatenate(found).T if found else np.empty((3, 0), dtype=np.int32)
    if len(places) < wanted:
        raise UserError(
            f"config key {key} is {wanted}: domain {domain} holds only {len(places)} passages of {window} tokens"
        )
    chosen: defaultdict[int, list[int]] = defaultdict(list)
    for index in np.lexsort((np.concatenate(orders), turns))[:wanted]:
        chosen[int(places[index])].append(int(starts[index]))
    return chosen


def _cut(
    documents: pd.DataFrame, starts: list[list[int]], tokenizer: PreTrainedTokenizerBase, window: int
) -> pd.DataFrame:
    """The passages at these places of each document."""
    rows = []
    ids_of_each = encoded(tokenizer, documents["text"].tolist())
    for document, own, ids in zip(documents.to_dict("records"), starts, ids_of_each, strict=True):
        for start in sorted(own, key=str):  # as their names are ordered
            chosen = ids[start : start + window]
            text = _text(tokenizer, chosen)
            rate = document["entropy_rate"]
            rows.append(
                {
                    "passage_id": f"{document['document_id']}:{start}",
                    "document_id": document["document_id"],
                    "domain": document["domain"],
                    "source": document["source"],
                    "split": document["split"],
                    "variant": VARIANTS[0],
                    "start": start,
                    "text": text,
                    "token_ids": chosen,
                    "bytes": len(text.encode()),
                    "entropy_rate": None if pd.isna(rate) else rate * len(text.split()) / window,
                }
            )
    return pd.DataFrame(rows)


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def ladder(passages: pd.DataFrame, tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """The four disturbed variants of each passage, of the same length in tokens.

    words_shuffled: the words in random order, each with its tokens in order. reversed: the tokens from last to first.
    ids_plus_1: every id replaced by the next ordinary one. random_ids: ids drawn uniformly. (ICAE, arXiv 2307.06945,
    sec. 3.2.1, has the last two; IC-Former, arXiv 2410.04524, adds the reversed.)
    """
    ordinary = np.asarray(ordinary_ids(tokenizer))
    place = {int(token): index for index, token in enumerate(ordinary)}
    rows = []
    for passage in passages.to_dict("records"):
        generator = np.random.default_rng(int(name_hash(passage["passage_id"])[:16], 16))
        ids = [int(token) for token in passage["token_ids"]]
        variants = {
            "words_shuffled": _shuffle_words(ids, tokenizer, generator),
            "reversed": ids[::-1],
            "ids_plus_1": [int(ordinary[(place[token] + 1) % len(ordinary)]) for token in ids],
            "random_ids": ordinary[generator.integers(len(ordinary), size=len(ids))].tolist(),
        }
        for variant, changed in variants.items():
            text = _text(tokenizer, changed)
            rows.append(
                passage
                | {
                    "passage_id": f"{passage['passage_id']}/{variant}",
                    "variant": variant,
                    "token_ids": changed,
                    "text": text,
                    "bytes": len(text.encode()),
                    "entropy_rate": None,
                }
            )
    return pd.DataFrame(rows, columns=list(passages.columns))


def _shuffle_words(ids: list[int], tokenizer: PreTrainedTokenizerBase, generator: np.random.Generator) -> list[int]:
    words: list[list[int]] = []
    for token, piece in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        if not words or piece[:1] in "ĠĊ▁":  # a blank, a line break, SentencePiece's blank: a word begins
            words.append([])
        words[-1].append(token)
    return [token for place in generator.permutation(len(words)) for token in words[place]]


def name_hash(text: str) -> str:
    """A number by which names are put in an order that is nobody's choice, in 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
