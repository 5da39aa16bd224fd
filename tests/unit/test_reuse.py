"""Trained compressors outside of a study: they come back unchanged, and do what the pipeline does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import contextpress
from contextpress import Compressor, Memory
from contextpress.compressor.description import DESCRIPTION
from contextpress.reconstruction import steps
from contextpress.reconstruction.spec import ReconstructionSpec
from contextpress.reconstruction.table import RECONSTRUCTIONS
from contextpress.reuse.pieces import pieces
from contextpress.runtime.closure import PACKAGE, closure
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, write_json
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.passages import PASSAGES
from tests.unit.models import tiny_study

ARCHITECTURES = {name: {"readout": name} for name in ("mean_pool", "memory_tokens", "kv_prefix")}
ARCHITECTURES["low_rank"] = {"encoder_training": "lora", "decoder_training": "lora"}
WINDOW, RATIO = 8, 4
TEXTS = ["a few words", "to train on, and some more of them, and words to train on", "x", "some more words of them"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request, tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("study") / "results/tried", **ARCHITECTURES[request.param])


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("study") / "results/tried")


@pytest.fixture(scope="module")
def compressor(pooled):
    return Compressor.from_pretrained(pooled)


def same(one: Memory, two: Memory) -> bool:
    pairs = zip(one.vectors, two.vectors, strict=True)
    return one.tokens == two.tokens and all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)


# -- what a text is cut into


def test_the_last_window_ends_with_the_text():
    assert [tuple(piece) for piece in pieces(6, 4, 2)] == [(0, 4, 2, 2), (2, 4, 4, 2)]
    assert [tuple(piece) for piece in pieces(8, 4, 2)] == [(0, 4, 4, 2), (4, 4, 4, 2)]
    assert [tuple(piece) for piece in pieces(4, 4, 2)] == [(0, 4, 4, 2)]
    assert [tuple(piece) for piece in pieces(3, 4, 2)] == [(0, 3, 3, 2)]
    assert [tuple(piece) for piece in pieces(1, 4, 2)] == [(0, 1, 1, 1)]


@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 6))
def test_every_token_is_kept_once_and_in_order(tokens, slots, ratio):
    cut = pieces(tokens, slots * ratio, ratio)
    kept = [token for piece in cut for token in range(piece.start, piece.start + piece.kept)]
    assert kept == list(range(tokens))
    for piece in cut:
        assert piece.kept <= piece.tokens <= piece.slots * ratio <= slots * ratio
        assert piece.slots * ratio - piece.tokens < ratio
        assert piece.start + piece.tokens <= tokens
    assert len(cut) == 1 or {piece.slots for piece in cut} == {slots}


# -- memory and text


def test_memory_is_that_of_the_windows_and_the_short_text_is_filled_up(compressor):
    text = TEXTS[1]
    ids = compressor.tokenizer(text)["input_ids"]
    assert 24 < len(ids) < 32 and len(compressor.tokenizer("x")["input_ids"]) == 1
    memory = compressor.compress([text, "x"])
    assert memory.tokens == (len(ids), 1)
    windows = [ids[:8], ids[8:16], ids[16:24], ids[-8:]]
    with torch.no_grad():
        expected = compressor._model.compress(torch.tensor(windows)).flatten(0, 1)
        lone = compressor._model.compress(torch.tensor([compressor.tokenizer("x")["input_ids"] * RATIO]))[0]
    torch.testing.assert_close(memory.vectors[0], expected)
    torch.testing.assert_close(memory.vectors[1], lone)


def test_a_texts_memory_does_not_depend_on_its_neighbours(folder):
    made = Compressor.from_pretrained(folder)
    together = made.compress(TEXTS)
    for place, text in enumerate(TEXTS):
        torch.testing.assert_close(together[place].vectors, made.compress([text]).vectors)
        assert together[place].tokens == made.compress([text]).tokens


def test_a_reconstruction_has_as_many_tokens_as_the_text_and_is_written_window_by_window(compressor):
    memory = compressor.compress(TEXTS)
    for place, (text, written) in enumerate(zip(TEXTS, compressor.reconstruct(memory), strict=True)):
        ids, expected = compressor.tokenizer(text)["input_ids"], []
        for piece in pieces(len(ids), WINDOW, RATIO):
            window = compressor.tokenizer.decode(ids[piece.start : piece.start + piece.tokens])
            assert compressor.tokenizer(window)["input_ids"] == ids[piece.start : piece.start + piece.tokens]
            prefix = compressor.inputs_embeds(compressor.compress([window]))
            expected += compressor.decoder.generate(
                inputs_embeds=prefix, do_sample=False, min_new_tokens=piece.kept, max_new_tokens=piece.kept
            )[0].tolist()
        assert len(expected) == memory.tokens[place]
        assert written == compressor.tokenizer.decode(expected)


def test_generate_writes_the_reconstruction_from_inputs_embeds(folder):
    made = Compressor.from_pretrained(folder)
    text = "some more words"
    memory = made.compress([text])
    count = memory.tokens[0]
    assert RATIO < count <= WINDOW
    inputs = made.inputs_embeds(memory)
    assert inputs.shape[:2] == (1, 2 + len(memory.vectors[0]))
    limits = {"do_sample": False, "min_new_tokens": count, "max_new_tokens": count}
    ids = made.decoder.generate(inputs_embeds=inputs, **limits)
    assert ids.shape == (1, count)
    assert made.tokenizer.batch_decode(ids) == made.reconstruct(memory)


def test_what_follows_memory_is_gone_on_from(compressor):
    memory = compressor.compress(["a few words to"])[0]
    beginning = "some words"
    given = torch.tensor([compressor.tokenizer(beginning)["input_ids"]])
    whole = torch.cat([compressor.inputs_embeds(memory), compressor.decoder.get_input_embeddings()(given)], dim=1)
    torch.testing.assert_close(compressor.inputs_embeds(memory, beginning), whole)


def test_the_pipeline_reconstructs_the_same(folder, tmp_path):
    """Two ways to the same text: guessing by the known one in the pipeline, step by step here."""
    made = Compressor.from_pretrained(folder)
    line = made.tokenizer("a few words to train on, and some more of them " * 20)["input_ids"]
    rows = []
    for start in range(0, len(line) - WINDOW, 3):
        ids = line[start : start + WINDOW]
        text = made.tokenizer.decode(ids)
        if made.tokenizer(text)["input_ids"] == ids:
            rows.append({"text": text, "token_ids": ids, "bytes": len(text), "start": start})
    assert len(rows) > 20
    frame = pd.DataFrame(rows).drop_duplicates("text").reset_index(drop=True)
    names = [f"prose/{number}" for number in range(len(frame))]
    frame = frame.assign(passage_id=names, document_id=names, domain="prose", source="x", split="test")
    frame = frame.assign(variant="normal", entropy_rate=np.nan).astype({"start": "int32", "bytes": "int32"})
    write_table(tmp_path / "passages.parquet", frame[PASSAGES.names], PASSAGES)
    results = folder.parent.parent
    steps.reconstruct(
        spec=ReconstructionSpec(),
        compressor=folder,
        encoder=results / "lm/one",
        decoder=results / "lm/two",
        tokenizer=results / "tokens/tokenizer",
        passages=[tmp_path / "passages.parquet"],
        output=tmp_path / "made.parquet",
        record=tmp_path / "record.json",
    )
    done = read_table(tmp_path / "made.parquet", RECONSTRUCTIONS)
    expected = done[done["condition"] == "real"].set_index("passage_id")["reconstruction"]
    texts = made.reconstruct(made.compress(frame["text"].tolist()))
    assert texts == expected[frame["passage_id"]].tolist()
    assert len(set(texts)) > 3


# -- folders


def test_a_saved_copy_stands_alone_and_gives_the_same_memory(folder, tmp_path):
    own = shutil.copytree(folder.parent.parent, tmp_path / "results/tried") / "compressors/tried"
    (own / "README.md").write_text("# A card\n")
    first = Compressor.from_pretrained(own)
    expected, texts = first.compress(TEXTS), first.reconstruct(first.compress(TEXTS))
    first.save_pretrained(tmp_path / "copy")
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "copy").rename(tmp_path / "moved")
    again = Compressor.from_pretrained(tmp_path / "moved")
    assert same(again.compress(TEXTS), expected)
    assert again.reconstruct(expected) == texts
    assert (tmp_path / "moved/compressor.safetensors").read_bytes() == (folder / "compressor.safetensors").read_bytes()
    files = sorted(path.relative_to(tmp_path / "moved").as_posix() for path in tmp_path.glob("moved/**/*.*"))
    assert {name.rpartition(".")[2] for name in files} == {"safetensors", "json", "md"}
    assert not [name for name in files if "history" in name or "record" in name]


def test_a_copy_may_be_written_over_itself(pooled, tmp_path):
    Compressor.from_pretrained(pooled).save_pretrained(tmp_path / "copy")
    one = Compressor.from_pretrained(tmp_path / "copy")
    one.save_pretrained(tmp_path / "copy")
    assert same(Compressor.from_pretrained(tmp_path / "copy").compress(TEXTS), one.compress(TEXTS))


def test_what_is_no_compressor_is_told(pooled, tmp_path):
    with pytest.raises(UserError, match=r"is no compressor's folder: it has no compressor.json"):
        Compressor.from_pretrained(tmp_path)
    (tmp_path / DESCRIPTION).write_text("{")
    with pytest.raises(UserError, match=r"compressor.json cannot be read as JSON"):
        Compressor.from_pretrained(tmp_path)
    write_json(tmp_path / DESCRIPTION, {"spec": read_json(pooled / DESCRIPTION)["spec"]})
    with pytest.raises(UserError, match=r"compressor.json describes no compressor: config key encoder is missing"):
        Compressor.from_pretrained(tmp_path)
    shutil.copy(pooled / DESCRIPTION, tmp_path)
    with pytest.raises(UserError, match=r"its encoder is not at"):
        Compressor.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", "a changed bit", None])
def test_damaged_weights_are_told(pooled, tmp_path, content):
    Compressor.from_pretrained(pooled).save_pretrained(tmp_path)
    weights = tmp_path / "compressor.safetensors"
    if content is None:
        weights.unlink()
    else:
        whole = weights.read_bytes()
        weights.write_bytes(content if isinstance(content, bytes) else whole[:-1] + bytes([whole[-1] ^ 1]))
    said = "does not exist" if content is None else r"cannot be read as safetensors \(.*delete it"
    with pytest.raises(UserError, match=rf"compressor.safetensors {said}"):
        Compressor.from_pretrained(tmp_path)


@pytest.mark.parametrize("part", ["encoder/model.safetensors", "decoder/model.safetensors", "tokenizer/tokenizer.json"])
def test_a_damaged_part_is_not_taken_for_another(part, pooled, tmp_path):
    Compressor.from_pretrained(pooled).save_pretrained(tmp_path)
    (tmp_path / part).write_bytes((tmp_path / part).read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        Compressor.from_pretrained(tmp_path)


def test_another_tokenizer_is_refused(pooled, tmp_path):
    Compressor.from_pretrained(pooled).save_pretrained(tmp_path)
    words = tmp_path / "tokenizer/tokenizer.json"
    words.write_text(words.read_text() + "\n")
    with pytest.raises(UserError, match="trained on another tokenizer"):
        Compressor.from_pretrained(tmp_path)


# -- memory files


def test_a_memory_comes_back_from_its_file_and_holds_no_text(compressor, tmp_path):
    memory = compressor.compress(TEXTS, ["a.txt", "b.txt", "c.txt", "d.txt"])
    memory.save(tmp_path / "m.safetensors")
    again = Memory.load(tmp_path / "m.safetensors")
    assert same(memory, again)
    assert again.names == ("a.txt", "b.txt", "c.txt", "d.txt")
    assert again.compressor == memory.compressor
    data = (tmp_path / "m.safetensors").read_bytes()
    assert data == again.to_bytes()
    assert b"words" not in data
    assert len(again[1]) == 1 and again[1].names == ("b.txt",)


def test_what_is_no_memory_is_told(compressor, pooled, tmp_path):
    made = compressor.compress(["a", "b"])
    unnamed = Memory(made.vectors, made.tokens, ("a",), made.compressor)
    cut_off = Memory(made.vectors[:1], made.tokens, made.names, made.compressor)
    weights = (pooled / "compressor.safetensors").read_bytes()
    for data in (b"", b"text", weights, unnamed.to_bytes(), cut_off.to_bytes()):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(UserError, match="x is no memory file"):
            Memory.load(tmp_path / "x")
    with pytest.raises(UserError, match="y cannot be read: No such file"):
        Memory.load(tmp_path / "y")
    with pytest.raises(UserError, match=r"x/m cannot be written"):
        compressor.compress(["a"]).save(tmp_path / "x/m")


def test_memory_of_another_compressor_or_of_another_size_is_refused(compressor, tmp_path):
    other = Compressor.from_pretrained(tiny_study(tmp_path / "results/other", seed=7))
    with pytest.raises(UserError, match=r"made by another compressor, .*other"):
        compressor.reconstruct(other.compress(["a"]))
    memory = compressor.compress(["a few words"])
    with pytest.raises(UserError, match="the memory of 0 has 1 vectors; 9 tokens have 4"):
        compressor.reconstruct(Memory((memory.vectors[0][:1],), (9,), ("0",), memory.compressor))
    with pytest.raises(UserError, match=r"windows of 1 and of 2 vectors .* memory\[i\]"):
        compressor.inputs_embeds(compressor.compress(["a", TEXTS[1]]))


@pytest.mark.parametrize(("texts", "says"), [("a text", "a list"), ([], "a list"), (["a", ""], "text 1 is empty")])
def test_what_cannot_be_compressed_is_told(compressor, texts, says):
    with pytest.raises(UserError, match=says):
        compressor.compress(texts)


# -- imports


def test_importing_the_package_imports_no_torch():
    asked = (
        "import contextpress, sys; print('torch' in sys.modules); contextpress.Memory; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
    with pytest.raises(AttributeError, match="no attribute 'Compresor'"):
        _ = contextpress.Compresor


def test_no_step_of_the_pipeline_depends_on_its_users():
    files = closure("contextpress.figures.steps", "contextpress.report.steps", "contextpress.cli")
    rooms = {Path(path).relative_to(PACKAGE).parts[0] for path in files}
    assert "report" in rooms and not rooms & {"reuse", "commands"}
