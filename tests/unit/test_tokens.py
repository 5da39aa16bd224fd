"""Tokenizer, windows, passages, ladder, shares."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from contextpress.runtime.errors import UserError
from contextpress.tokens.arrays import load_arrays, share_out, windows
from contextpress.tokens.cut import cut_passages, ladder
from contextpress.tokens.passages import PASSAGES, VARIANTS, sampled
from contextpress.tokens.spec import MixtureSpec
from contextpress.tokens.steps import mixture
from contextpress.tokens.tokenizer import load_tokenizer, ordinary_ids, restate_id, train_tokenizer

TEXT = [f"The river {n} runs past the mill, and then the café; who would cross it in {n * 7} days?" for n in range(300)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXT, 400)


def documents(count=6):
    return pd.DataFrame(
        {
            "document_id": [f"prose/{n:06d}" for n in range(count)],
            "domain": "prose",
            "source": [f"book/{n}.txt" for n in range(count)],
            "split": "test",
            "text": [" ".join(TEXT[n * 10 : n * 10 + 10]) for n in range(count)],
            "entropy_rate": None,
        }
    )


def test_tokenizer_is_reproducible_and_round_trips(tokenizer, tmp_path):
    again = train_tokenizer(TEXT, 400)
    assert tokenizer.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
    for text in ("café 123\n\tnaïve", "ÿ€ 日本"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert (loaded.bos_token_id, restate_id(loaded)) == (0, 1)
    assert ordinary_ids(loaded) == list(range(2, 400))


def test_loading_the_tokenizer_of_a_study_is_what_transformers_would_load_and_needs_no_torch(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    mine, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(mine) is type(theirs)
    assert mine.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
    assert mine.special_tokens_map == theirs.special_tokens_map
    code = (
        "import sys\n"
        "import contextpress.analysis.steps, contextpress.corpus.steps, contextpress.entropy.steps\n"
        "import contextpress.figures.steps, contextpress.report.steps, contextpress.tokens.steps\n"
        "contextpress.tokens.steps.load_tokenizer(sys.argv[1])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_too_little_text_for_the_vocabulary_is_said():
    with pytest.raises(UserError, match="vocabulary is 5000: the training text yields only"):
        train_tokenizer(["a b c"], 5000)


def test_missing_tokenizer_is_said(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        load_tokenizer(tmp_path / "nowhere")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 9))
def test_windows_do_not_overlap_or_leave_their_document(lengths, length):
    offsets = np.cumsum([0, *lengths])
    ids = np.arange(offsets[-1], dtype=np.uint16)
    found = windows(ids, offsets, length)
    assert len(np.unique(found)) == found.size
    assert len(found) == sum(n // length for n in lengths)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    for row in found:
        assert np.array_equal(row, np.arange(row[0], row[0] + length))
        assert owner[row[0]] == owner[row[-1]]


@given(st.integers(0, 500), st.dictionaries(st.text(max_size=3), st.floats(0.01, 9), min_size=1, max_size=6))
def test_shares_add_up_and_stay_within_one_of_exact(total, weights):
    parts = share_out(total, weights)
    assert sum(parts.values()) == total
    for name, weight in weights.items():
        assert abs(parts[name] - total * weight / sum(weights.values())) < 1 + 1e-6


def cut_all(frame, tokenizer, wanted, key="k", parts=1):
    """Passages of 16 tokens, of documents read in so many parts."""
    size = -(-len(frame) // parts)
    read = [frame.iloc[start : start + size] for start in range(0, len(frame), size)]
    return pd.concat(cut_passages(lambda: iter(read), tokenizer, 16, wanted, key), ignore_index=True)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_passages_do_not_depend_on_the_parts_that_documents_are_read_in(tokenizer, parts):
    whole = cut_all(documents(), tokenizer, 12)
    pd.testing.assert_frame_equal(cut_all(documents(), tokenizer, 12, parts=parts), whole)
    assert whole["passage_id"].is_monotonic_increasing


def test_passages_are_windows_of_their_documents(tokenizer):
    frame = documents()
    cut = cut_all(frame, tokenizer, 12)
    assert list(cut.columns) == PASSAGES.names
    assert len(cut) == 12
    assert cut["document_id"].value_counts().tolist() == [2] * 6  # documents take turns
    texts = dict(zip(frame["document_id"], frame["text"], strict=True))
    for row in cut.itertuples():
        ids = tokenizer(texts[row.document_id])["input_ids"]
        assert list(row.token_ids) == ids[row.start : row.start + 16]
        assert row.text in texts[row.document_id]
        assert row.bytes == len(row.text.encode())


def test_asking_for_more_passages_keeps_those_chosen_before(tokenizer):
    few, many = (cut_all(documents(), tokenizer, n)["passage_id"] for n in (6, 18))
    assert set(few) < set(many)


def test_too_few_passages_is_said(tokenizer):
    with pytest.raises(UserError, match=r"tokens\.passages\.test is 9999: domain prose holds only \d+ passages"):
        cut_all(documents(), tokenizer, 9999, "tokens.passages.test")


def test_ladder_disturbs_as_its_names_say(tokenizer):
    cut = cut_all(documents(), tokenizer, 6)
    rungs = ladder(cut, tokenizer)
    assert set(rungs["variant"]) == set(VARIANTS[1:])
    ordinary = ordinary_ids(tokenizer)
    for passage in cut.itertuples():
        own = rungs[rungs["document_id"].eq(passage.document_id) & rungs["start"].eq(passage.start)]
        by = {row.variant: list(row.token_ids) for row in own.itertuples()}
        ids = list(passage.token_ids)
        assert by["reversed"] == ids[::-1]
        assert by["ids_plus_1"] == [ordinary[(ordinary.index(token) + 1) % len(ordinary)] for token in ids]
        assert sorted(by["words_shuffled"]) == sorted(ids)
        assert by["words_shuffled"] != ids
        assert set(by["random_ids"]) <= set(ordinary)
    assert rungs["passage_id"].is_unique
    pd.testing.assert_frame_equal(rungs, ladder(cut, tokenizer))


def test_the_random_mixture_is_uniform_over_ordinary_tokens_and_always_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    spec = MixtureSpec(name="random", weights={}, tokens=40_000, row=50)
    for name in ("one", "two"):
        output, manifest = tmp_path / f"{name}.safetensors", tmp_path / f"{name}.json"
        mixture(spec=spec, tokenizer=tmp_path / "tokenizer", arrays=[], output=output, manifest=manifest)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    rows = load_arrays(tmp_path / "one.safetensors")["rows"]
    assert rows.shape == (800, 50)
    ids, counts = np.unique(rows, return_counts=True)
    ordinary = ordinary_ids(tokenizer)
    assert set(ids) <= set(ordinary)
    expected = rows.size / len(ordinary)
    assert abs(counts - expected).max() < 6 * expected**0.5  # six standard deviations


def test_the_sample_is_of_the_undisturbed_passages_those_that_also_come_disturbed():
    frame = pd.DataFrame(
        {
            "passage_id": ["a/1:0", "a/1:32", "b/1:0", "a/1:32/reversed", "b/1:0/reversed", "b/1:0/random_ids"],
            "variant": ["normal", "normal", "normal", "reversed", "reversed", "random_ids"],
        }
    )
    assert sampled(frame).tolist() == [False, True, True, False, False, False]
    assert sampled(frame[:3]).tolist() == [True, True, True]
