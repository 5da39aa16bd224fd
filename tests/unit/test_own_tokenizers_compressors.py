"""Compressors of models with tokenizers of their own: training, reconstruction, cramming, use outside of the study."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from contextpress.cli import _add_options
from contextpress.compressor.folder import load_compressor, parts_of
from contextpress.compressor.objectives import NOTHING, RestatingOtherTokens
from contextpress.compressor.other_tokens import OtherTokens
from contextpress.compressor.readouts import READOUTS
from contextpress.compressor.spec import per_vector
from contextpress.reconstruction.metrics import token_f1
from contextpress.reconstruction.spec import CrammingSpec, ReconstructionSpec
from contextpress.reconstruction.steps import cram, reconstruct
from contextpress.reconstruction.table import CONDITIONS, CRAMMED, RECONSTRUCTIONS
from contextpress.reuse.compressor import Compressor as Reused
from contextpress.reuse.memory import Memory
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import read_table
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.tokenizer import load_tokenizer
from tests.unit.mixed_study import DEVICE, MODELS, STORY, WINDOW, read_whole


def test_a_training_passage_is_the_same_text_for_both(mixed):
    spec = mixed.spec("qwen", "neox")
    reads, writes = (load_tokenizer(mixed.words[name]) for name in ("qwen", "neox"))
    ids = torch.tensor([mixed.study("the ball rolled away, down", add_special_tokens=False)["input_ids"][:4]] * 2)
    ids[1] = ids[1].flip(0)
    read, written = OtherTokens(spec, mixed.study, reads, writes)(ids, 2)
    assert read.shape == (2, 2 * per_vector(2, WINDOW, 24))
    for row, seen, said in zip(ids, read, written, strict=True):
        text = mixed.study.decode(row)
        own = reads(text, add_special_tokens=False)["input_ids"]
        assert seen.tolist() == (own + [reads.bos_token_id] * 12)[:12]
        assert writes.decode(said[said != NOTHING]) == text[: len(writes.decode(said[said != NOTHING]))]
        assert (said[1:] != NOTHING).le(said[:-1] != NOTHING).all()


def test_the_loss_is_the_mean_over_the_tokens_that_are_there(mixed):
    made = mixed.loaded(mixed.spec("qwen", "neox"))
    objective = RestatingOtherTokens(made, 0.0)
    read = torch.randint(0, 290, (2, 2 * made.read_per_vector()))
    written = torch.tensor([[5, 6, 7, 8], [9, 10, NOTHING, NOTHING]])
    assert objective.labelled(read, written) == 6
    with torch.no_grad():
        total = 0.0
        for row, own in zip(read, ([5, 6, 7, 8], [9, 10]), strict=True):
            prefix = made.prefix(made.compress(row[None]))
            text = torch.tensor([own])
            whole = torch.cat([prefix, made.embed(text)], dim=1)
            logits = made.decoder(inputs_embeds=whole).logits[0, prefix.shape[1] - 1 : -1]
            total += float(cross_entropy(logits, text[0], reduction="sum"))
        assert float(objective(read, written)) == pytest.approx(total / 6, rel=1e-5)


PAIRS = [("plain", "qwen", "mean_pool"), ("qwen", "plain", "memory_tokens"), ("qwen", "neox", "interleaved")]


@pytest.mark.parametrize(("encoder", "decoder", "readout"), [*PAIRS, ("qwen", "qwen", "kv_prefix")])
def test_two_steps_of_training_and_exact_greedy_text(mixed, encoder, decoder, readout):
    spec = mixed.spec(encoder, decoder, readout)
    folder = mixed.trained(spec)
    assert np.isfinite(read_history(folder)).all()
    own, tables = mixed.own(encoder, decoder), {}
    for role, name in (("encoder", encoder), ("decoder", decoder)):
        if MODELS[name][3]:
            tables[f"{role}_passages"] = mixed.passages[name]
    reconstruct(
        spec=ReconstructionSpec(batch=5),
        compressor=folder,
        encoder=mixed.models[encoder],
        decoder=mixed.models[decoder],
        tokenizer=mixed.folder / "tokens/tokenizer",
        passages=mixed.whole,
        output=folder / "table.parquet",
        record=folder / "reconstruction.json",
        **own,
        **tables,
    )
    found = read_table(folder / "table.parquet", RECONSTRUCTIONS)
    assert set(found["condition"]) == set(CONDITIONS)
    rows = found[found["condition"] == "real"].set_index("passage_id")
    made, writes = mixed.loaded(spec), load_tokenizer(mixed.words[decoder])
    written = read_whole(mixed.passages[decoder]).set_index("passage_id")
    read = read_whole(mixed.passages[encoder]).set_index("passage_id")
    assert set(rows.index) == set(written.index[written["split"] == "test"])
    for name, row in rows.iterrows():
        true = list(written.loc[name, "token_ids"])
        seen = list(read.loc[name, "token_ids"])
        seen += [made.encoder_bos] * (made.slots * made.read_per_vector() - len(seen))
        with torch.no_grad():
            prefix = made.prefix(made.compress(torch.tensor([seen])))
            said, nll = [], []
            for place, token in enumerate(true):  # token by token, without a cache
                after = torch.cat([prefix, padded_to(made.embed(torch.tensor([said])), prefix)], 1) if said else prefix
                said.append(int(made.decoder(inputs_embeds=after).logits[0, -1].argmax()))
                before = torch.tensor([true[:place]])
                after = torch.cat([prefix, padded_to(made.embed(before), prefix)], 1) if place else prefix
                nll.append(-float(torch.log_softmax(made.decoder(inputs_embeds=after).logits[0, -1], -1)[token]))
        assert list(row["token_ids"]) == said
        assert row["reconstruction"] == writes.decode(said, clean_up_tokenization_spaces=False)
        assert row["nll"] == pytest.approx(np.mean(nll), abs=1e-4)
        texts = [written.loc[name, "text"], row["reconstruction"]]
        if decoder != "plain":
            true, said = (mixed.study(text, add_special_tokens=False)["input_ids"] for text in texts)
        assert row["token_f1"] == pytest.approx(token_f1(true, said))


def padded_to(embedded: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(embedded, (0, prefix.shape[-1] - embedded.shape[-1]))


def read_history(folder: Path) -> np.ndarray:
    return pd.read_parquet(folder / "history.parquet")["loss"].to_numpy()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("ratio", [1, 2, 8])
def test_a_passage_has_as_many_vectors_whatever_reads_it(mixed, readout, ratio):
    # Keys and values are not to be had of GPT-NeoX.
    made = mixed.loaded(mixed.spec("qwen", "plain", readout, ratio))
    assert made.slots == WINDOW // ratio
    width = made.slots * made.read_per_vector()
    assert 24 <= width < 24 + made.slots
    assert made.compress(torch.zeros(2, width, dtype=torch.long)).shape[:2] == (2, WINDOW // ratio)


def test_what_is_filled_in_changes_nothing_before_it(mixed):
    made = mixed.loaded(mixed.spec("qwen", "plain", "interleaved"))
    each = made.read_per_vector()
    text = torch.randint(1, 290, (1, each))
    rows = torch.cat([text.expand(2, -1), torch.tensor([[0] * each, [7] * each])], dim=1)
    with torch.no_grad():
        one, two = made.compress(rows)
    torch.testing.assert_close(one[0], two[0])
    assert not torch.allclose(one[1], two[1])


def test_memory_is_crammed_in_the_decoders_own_tokens(mixed, tmp_path):
    spec = CrammingSpec(decoder="neox", passages=6, vectors=(1,), steps=3)
    cram(
        spec=spec,
        decoder=mixed.models["neox"],
        tokenizer=mixed.words["neox"],
        passages=mixed.passages["neox"][0],
        output=tmp_path / "crammed.parquet",
        record=tmp_path / "record.json",
    )
    found = read_table(tmp_path / "crammed.parquet", CRAMMED)
    passages = read_table(mixed.passages["neox"][0], PASSAGES)
    wanted = passages.loc[passages["split"] == "test", "passage_id"].head(6)
    assert sorted(found["passage_id"]) == sorted(wanted)


def test_a_compressor_knows_its_tokenizers(mixed):
    spec = mixed.spec("plain", "qwen")
    folder = mixed.trained(spec)
    parts = parts_of(mixed.models["plain"], mixed.models["qwen"], mixed.folder / "tokens/tokenizer")
    with pytest.raises(UserError, match="a tokenizer of its own, and no decoder_tokenizer is given"):
        load_compressor(folder, parts, DEVICE)
    with pytest.raises(UserError, match="was trained on another decoder_tokenizer"):
        load_compressor(folder, parts | {"decoder_tokenizer": mixed.words["neox"]}, DEVICE)


@pytest.mark.parametrize(("encoder", "decoder"), [("plain", "qwen"), ("qwen", "plain"), ("qwen", "neox")])
def test_a_compressor_is_used_outside_its_study(mixed, tmp_path, encoder, decoder):
    spec = mixed.spec(encoder, decoder)
    reused = Reused.from_pretrained(mixed.trained(spec))
    ids = mixed.study(STORY, add_special_tokens=False)["input_ids"][: 2 * WINDOW + 3]
    text = mixed.study.decode(ids)
    memory = reused.compress([text, "the ball"])
    assert [len(vectors) for vectors in memory.vectors] == [3 * WINDOW // 4, -(-memory.tokens[1] // 4)]
    again = Memory.from_bytes(memory.to_bytes(), "memory")
    assert again.written == memory.written
    reads, writes = (load_tokenizer(mixed.words[name]) for name in (encoder, decoder))
    made, taken, texts = mixed.loaded(spec), [], []
    for start, kept in ((0, WINDOW), (WINDOW, 3), (WINDOW + 3, WINDOW)):
        own = ids[start : start + WINDOW]
        window = mixed.study.decode(own)
        read = own if encoder == "plain" else reads(window, add_special_tokens=False)["input_ids"]
        read = read + [made.encoder_bos] * (made.slots * made.read_per_vector() - len(read))
        count = WINDOW if decoder == "plain" else len(writes(window, add_special_tokens=False)["input_ids"])
        limits = {"do_sample": False, "min_new_tokens": count, "max_new_tokens": count}
        prefix = made.prefix(made.compress(torch.tensor([read])))
        said = made.decoder.generate(inputs_embeds=prefix, **limits)[0].tolist()
        taken += said[:kept]
        texts.append(writes.decode(said, clean_up_tokenization_spaces=False))
    if decoder == "plain":
        expected = writes.decode(taken, clean_up_tokenization_spaces=False)
    else:  # of the window that overlaps the next, three of the study's tokens
        texts[1] = mixed.study.decode(mixed.study(texts[1], add_special_tokens=False)["input_ids"][:3])
        expected = "".join(texts)
    assert reused.reconstruct(again)[0] == expected
    reused.save_pretrained(tmp_path / "copy")
    copy = Reused.from_pretrained(tmp_path / "copy")
    assert copy.compress([text]).vectors[0].equal(memory.vectors[0])
    assert copy.inputs_embeds(copy.compress(["the ball"]), "and").shape[0] == 1


def test_specs_of_one_tokenizer_name_no_other(mixed):
    told = json.loads(mixed.spec("plain", "plain").line())
    assert not [key for key in told if "_window" in key]
    assert "decoder_window" in json.loads(mixed.spec("plain", "qwen").line())
    folder = mixed.trained(mixed.spec("plain", "plain"))
    assert set(json.loads((folder / "compressor.json").read_text())) == {"spec", "encoder", "decoder", "tokenizer"}


def test_options_of_several_paths_may_be_left_out_and_take_several():
    parser = argparse.ArgumentParser()
    _add_options(parser, reconstruct)
    kinds = ("spec", "compressor", "encoder", "decoder", "tokenizer", "passages", "output", "record")
    needed = [word for kind in kinds for word in (f"--{kind}", "there")]
    assert parser.parse_args(needed).decoder_passages is None
    given = parser.parse_args([*needed, "--decoder-passages", "one", "two", "--encoder-tokenizer", "words"])
    assert given.decoder_passages == [Path("one"), Path("two")]
    assert given.encoder_tokenizer == Path("words")
