"""The tokenizer of a study: a byte-level BPE of its own, or one that is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json
from contextpress.runtime.hub import loading, located

# transformers is imported where it is used: many a step asks this module for a name or two, and needs none of it.
if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

TOKENIZER = "tokenizer.json"  # in its folder
BOS, RESTATE = "<bos>", "<restate>"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE with exactly ``vocabulary`` entries, <bos> and <restate> among them.

    Raises:
        UserError: if the text is too small for that many entries.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, RESTATE],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < vocabulary:
        raise UserError(
            f"config key tokens.tokenizer.vocabulary is {vocabulary}: the training text yields only "
            f"{tokenizer.get_vocab_size()} entries; give more text or a smaller vocabulary"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        additional_special_tokens=[RESTATE],
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(path: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer by path or hub id.

    A first token is scored after <bos>. Where there is none, as in Qwen's, the end-of-text token stands for it: models
    learned to begin after it.

    Raises:
        UserError: if it is not there, or has neither of the two.
    """
    where = located("tokenizer", path, revision, "")
    with loading("tokenizer", path, f"{TOKENIZER} and tokenizer_config.json"):
        tokenizer = _class_of(Path(path).expanduser()).from_pretrained(**where)
    if tokenizer.bos_token_id is None:
        tokenizer.bos_token = tokenizer.eos_token
    if tokenizer.bos_token_id is None:
        raise UserError(
            f"tokenizer {path} has no beginning-of-sequence and no end-of-sequence token; the first token could not be "
            "scored"
        )
    return tokenizer


def _class_of(folder: Path) -> Any:  # noqa: ANN401 - transformers' own classes are not typed
    """What loads a tokenizer: the general class, if the folder names it and no model beside it asks for another."""
    described, alone = folder / "tokenizer_config.json", not (folder / "config.json").exists()
    values = read_json(described) if alone and described.is_file() else {}
    named = values.get("tokenizer_class") if isinstance(values, dict) else None
    from transformers import PreTrainedTokenizerFast

    if named == PreTrainedTokenizerFast.__name__:
        return PreTrainedTokenizerFast
    # This takes torch with it, and a study's own tokenizer does without.
    from transformers import AutoTokenizer

    return AutoTokenizer


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without marks."""
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return ids


def restate_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Id of the <restate> token, or None for a tokenizer that this project did not train."""
    return tokenizer.get_vocab().get(RESTATE)


def ordinary_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """All ids but those of special tokens, ascending."""
    return sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
