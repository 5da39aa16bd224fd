"""Cutting held-out documents into passages, and disturbing passages for the control ladder."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from contextpress.runtime.errors import UserError
from contextpress.tokens.passages import VARIANTS
from contextpress.tokens.tokenizer import ordinary_ids


def cut_passages(
    documents: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, window: int, wanted: int, key: str
) -> pd.DataFrame:
    """Choose ``wanted`` windows of ``window`` tokens from the documents of one domain and split.

    Every document gives one window before any gives its second, and so on, both in the order of a hash of their
    names, so that the choice needs no random state and a larger number only adds passages.

    Args:
        documents: rows of the documents table.
        tokenizer: the study's tokenizer.
        window: tokens per passage.
        wanted: passages to choose.
        key: config key that asked for this number, for the error message.

    Raises:
        UserError: if the documents hold fewer windows.
    """
    rows = []
    encoded = tokenizer(documents["text"].tolist(), add_special_tokens=False)["input_ids"]
    for document, ids in zip(documents.to_dict("records"), encoded, strict=True):
        name = document["document_id"]
        starts = range(0, len(ids) - window + 1, window)
        ordered = sorted(starts, key=lambda start: _hash(f"{name}:{start}"))
        turn = 0
        for start in ordered:
            chosen = ids[start : start + window]
            text = tokenizer.decode(chosen, clean_up_tokenization_spaces=False)
            if "\ufffd" in text:  # the window cuts a character in two: its text would not be its tokens'
                continue
            size = len(text.encode())
            words = len(text.split())
            rate = None if pd.isna(document["entropy_rate"]) else document["entropy_rate"] * words / window
            rows.append(
                {
                    "passage_id": f"{name}:{start}",
                    "document_id": document["document_id"],
                    "domain": document["domain"],
                    "source": document["source"],
                    "split": document["split"],
                    "variant": VARIANTS[0],
                    "start": start,
                    "text": text,
                    "token_ids": chosen,
                    "bytes": size,
                    "entropy_rate": rate,
                    "turn": turn,
                }
            )
            turn += 1
    if len(rows) < wanted:
        where = f"domain {documents['domain'].iloc[0]}" if len(documents) else "the split"
        raise UserError(f"config key {key} is {wanted}: {where} holds only {len(rows)} passages of {window} tokens")
    frame = pd.DataFrame(rows)
    frame["order"] = frame["document_id"].map(_hash)
    frame = frame.sort_values(["turn", "order"], kind="stable").head(wanted)
    return frame.drop(columns=["turn", "order"]).sort_values("passage_id", kind="stable").reset_index(drop=True)


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
        generator = np.random.default_rng(int(_hash(passage["passage_id"])[:16], 16))
        ids = [int(token) for token in passage["token_ids"]]
        variants = {
            "words_shuffled": _shuffle_words(ids, tokenizer, generator),
            "reversed": ids[::-1],
            "ids_plus_1": [int(ordinary[(place[token] + 1) % len(ordinary)]) for token in ids],
            "random_ids": ordinary[generator.integers(len(ordinary), size=len(ids))].tolist(),
        }
        for variant, changed in variants.items():
            text = tokenizer.decode(changed, clean_up_tokenization_spaces=False)
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


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
