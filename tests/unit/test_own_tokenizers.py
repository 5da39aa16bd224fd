"""Models with tokenizers of their own, of several families and widths, through the steps that a study runs."""

from __future__ import annotations

import argparse
import json
import shutil
from itertools import product
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
from contextpress.compressor.spec import Architecture, CompressorSpec, Curriculum, per_vector
from contextpress.compressor.steps import train
from contextpress.entropy.scores import GAP, GAP_OF_SEVERAL, PASSAGE_SCORES, TOKEN_SCORES
from contextpress.entropy.spec import GapSpec, Pair, ScoreSpec
from contextpress.entropy.steps import gap, score
from contextpress.latency.spec import LatencySpec
from contextpress.latency.steps import measure as measure_latency
from contextpress.lm.folder import load_model, save_model
from contextpress.lm.spec import LoadSpec
from contextpress.lm.steps import load
from contextpress.reconstruction.metrics import token_f1
from contextpress.reconstruction.spec import CrammingSpec, ReconstructionSpec
from contextpress.reconstruction.steps import cram, reconstruct
from contextpress.reconstruction.table import CONDITIONS, CRAMMED, RECONSTRUCTIONS
from contextpress.reuse.compressor import Compressor as Reused
from contextpress.reuse.memory import Memory
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import sha256
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.arrays import save_arrays
from contextpress.tokens.cut import ladder
from contextpress.tokens.own import filled, padded
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


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


def read_whole(paths: list[Path], schema=PASSAGES) -> pd.DataFrame:
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True)


def test_a_model_in_the_hubs_cache_is_loaded_without_a_network(study, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    kept, commit = tmp_path / "cache/models--owner--qwen", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(study.folder / "hub/qwen", kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text(commit)
    words = tmp_path / "words"
    tokenizer(spec=TokenizerSpec(load="owner/qwen"), documents=[], output=words)
    for revision in (None, "main", commit):
        spec = LoadSpec(name="q", path="owner/qwen", revision=revision, positions=64)
        load(spec=spec, tokenizer=words, output=tmp_path / "q", record=tmp_path / "record.json")
        assert json.loads((tmp_path / "record.json").read_text())["commit"] == commit
        assert sha256(tmp_path / "q/model.safetensors") == sha256(study.models["qwen"] / "model.safetensors")


def test_passages_keep_their_text_in_other_tokens(study):
    before, after = read_table(study.whole[0], PASSAGES), read_table(study.passages["qwen"][0], PASSAGES)
    words = load_tokenizer(study.words["qwen"])
    assert after.drop(columns="token_ids").equals(before.drop(columns="token_ids"))
    assert [words.decode(ids) for ids in after["token_ids"]] == before["text"].tolist()
    assert after["token_ids"].map(len).nunique() > 3  # or nothing here is tried on unequal lengths


def test_disturbed_passages_are_cut_and_others_are_refused_with_the_number_needed(study, tmp_path):
    needed = int(read_table(study.passages["qwen"][0], PASSAGES)["token_ids"].map(len).max())
    made = {"output": tmp_path / "passages.parquet", "ladder_output": tmp_path / "ladder.parquet"}
    words, (whole, disturbed) = study.words["qwen"], study.whole
    with pytest.raises(UserError, match=f"qwen reads at most {needed - 1} tokens .* set its window to {needed}$"):
        spec = OwnTokensSpec(model="qwen", window=needed - 1)
        retokenize(spec=spec, tokenizer=words, passages=whole, ladder=disturbed, **made)
    assert list(tmp_path.iterdir()) == []
    write_table(tmp_path / "none.parquet", read_table(whole, PASSAGES).head(0), PASSAGES)
    spec = OwnTokensSpec(model="qwen", window=15)
    retokenize(spec=spec, tokenizer=words, passages=tmp_path / "none.parquet", ladder=disturbed, **made)
    sizes = set()
    for row in read_table(made["ladder_output"], PASSAGES).to_dict("records"):
        assert row["text"] == load_tokenizer(words).decode(row["token_ids"])
        assert row["bytes"] == len(row["text"].encode())
        sizes.add(len(row["token_ids"]))
    assert max(sizes) == 15 > min(sizes)


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_each_passage_alone(study, name, tmp_path):
    score(
        spec=ScoreSpec(model=name, buckets=2),
        model=study.models[name],
        tokenizer=study.words[name],
        passages=study.passages[name],
        output=tmp_path / "passages.parquet",
        tokens_output=tmp_path / "tokens.parquet",
    )
    found = read_table(tmp_path / "passages.parquet", PASSAGE_SCORES).set_index("passage_id")
    tokens = read_table(tmp_path / "tokens.parquet", TOKEN_SCORES).groupby("passage_id", sort=False)
    passages = read_whole(study.passages[name])
    assert list(found.index) == passages["passage_id"].tolist()
    model, bos = load_model(study.models[name], DEVICE), load_tokenizer(study.words[name]).bos_token_id
    for passage in passages.to_dict("records"):
        ids = torch.tensor([[bos, *passage["token_ids"]]])
        with torch.no_grad():
            nll = cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none").double()
        row, each = found.loc[passage["passage_id"]], tokens.get_group(passage["passage_id"])
        assert row["nll"] == pytest.approx(float(nll.mean()), abs=1e-5)
        assert row["bits_per_byte"] == pytest.approx(float(nll.sum()) / np.log(2) / passage["bytes"], abs=1e-5)
        assert each["token_id"].tolist() == list(passage["token_ids"])
        assert each["position"].tolist() == list(range(len(nll)))
        np.testing.assert_allclose(each["nll"], nll, atol=1e-5)


def test_a_gap_that_needs_one_tokenizer_is_empty_with_the_reason(study, tmp_path):
    names = list(MODELS)
    pairs = [
        Pair(encoder=one, decoder=two, seed=0, encoder_model=one, decoder_model=two, design_gap=None)
        for one, two in product(names, names)
    ]
    gap(
        spec=GapSpec(pairs=tuple(pairs)),
        models=[study.models[name] for name in names],
        tokenizers=[study.words[name] for name in names],
        passages=[study.passages[name][0] for name in names],
        output=tmp_path / "gap.parquet",
    )
    measures = ["kl_encoder_decoder", "kl_decoder_encoder", "entropy_difference"]
    for row in read_table(tmp_path / "gap.parquet", GAP_OF_SEVERAL).to_dict("records"):
        if row["encoder"] == row["decoder"]:
            assert [row[name] for name in measures] == [0, 0, 0]
            assert pd.isna(row["not_available"])
        else:
            assert all(np.isnan(row[name]) for name in measures)
            assert "different tokenizers" in row["not_available"]
    assert len(read_table(tmp_path / "gap.parquet", GAP, GAP.names)) == 9


def test_models_of_one_tokenizer_with_more_places_than_words_can_be_compared(study, tmp_path):
    words = load_tokenizer(study.words["neox"])
    for number, more in enumerate((0, 5)):
        save_model(tiny("llama", seed=number, vocab_size=len(words) + more), tmp_path / f"m{number}")
    pair = Pair(encoder="m0", decoder="m1", seed=0, encoder_model="m0", decoder_model="m1", design_gap=None)
    gap(
        spec=GapSpec(pairs=(pair,)),
        models=[tmp_path / "m0", tmp_path / "m1"],
        tokenizers=[study.words["neox"]] * 2,
        passages=[study.passages["neox"][0]] * 2,
        output=tmp_path / "gap.parquet",
    )
    found = read_table(tmp_path / "gap.parquet", GAP).iloc[0]
    one, two = (load_model(tmp_path / name, DEVICE) for name in ("m0", "m1"))
    total, count = 0.0, 0
    passages = read_table(study.passages["neox"][0], PASSAGES)
    for own in passages.loc[passages["split"] == "validation", "token_ids"]:
        ids = torch.tensor([[words.bos_token_id, *own[:-1]]])
        with torch.no_grad():
            p, q = (torch.softmax(model(ids).logits[0, :, : len(words)], -1) for model in (one, two))
        total, count = total + float((p * (p / q).log()).sum()), count + len(own)
    assert found["kl_encoder_decoder"] == pytest.approx(total / count, rel=1e-4)


def test_a_training_passage_is_the_same_text_for_both(study):
    spec = study.spec("qwen", "neox")
    reads, writes = (load_tokenizer(study.words[name]) for name in ("qwen", "neox"))
    ids = torch.tensor([study.study("the ball rolled away, down", add_special_tokens=False)["input_ids"][:4]] * 2)
    ids[1] = ids[1].flip(0)
    read, written = OtherTokens(spec, study.study, reads, writes)(ids, 2)
    assert read.shape == (2, 2 * per_vector(2, WINDOW, 24))
    for row, seen, said in zip(ids, read, written, strict=True):
        text = study.study.decode(row)
        own = reads(text, add_special_tokens=False)["input_ids"]
        assert seen.tolist() == (own + [reads.bos_token_id] * 12)[:12]
        assert writes.decode(said[said != NOTHING]) == text[: len(writes.decode(said[said != NOTHING]))]
        assert (said[1:] != NOTHING).le(said[:-1] != NOTHING).all()


def test_the_loss_is_the_mean_over_the_tokens_that_are_there(study):
    made = study.loaded(study.spec("qwen", "neox"))
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
def test_two_steps_of_training_and_exact_greedy_text(study, encoder, decoder, readout):
    spec = study.spec(encoder, decoder, readout)
    folder = study.trained(spec)
    assert np.isfinite(read_history(folder)).all()
    own, tables = study.own(encoder, decoder), {}
    for role, name in (("encoder", encoder), ("decoder", decoder)):
        if MODELS[name][3]:
            tables[f"{role}_passages"] = study.passages[name]
    reconstruct(
        spec=ReconstructionSpec(batch=5),
        compressor=folder,
        encoder=study.models[encoder],
        decoder=study.models[decoder],
        tokenizer=study.folder / "tokens/tokenizer",
        passages=study.whole,
        output=folder / "table.parquet",
        record=folder / "reconstruction.json",
        **own,
        **tables,
    )
    found = read_table(folder / "table.parquet", RECONSTRUCTIONS)
    assert set(found["condition"]) == set(CONDITIONS)
    rows = found[found["condition"] == "real"].set_index("passage_id")
    made, writes = study.loaded(spec), load_tokenizer(study.words[decoder])
    written = read_whole(study.passages[decoder]).set_index("passage_id")
    read = read_whole(study.passages[encoder]).set_index("passage_id")
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
            true, said = (study.study(text, add_special_tokens=False)["input_ids"] for text in texts)
        assert row["token_f1"] == pytest.approx(token_f1(true, said))


def padded_to(embedded: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(embedded, (0, prefix.shape[-1] - embedded.shape[-1]))


def read_history(folder: Path) -> np.ndarray:
    return pd.read_parquet(folder / "history.parquet")["loss"].to_numpy()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("ratio", [1, 2, 8])
def test_a_passage_has_as_many_vectors_whatever_reads_it(study, readout, ratio):
    # Keys and values are not to be had of GPT-NeoX.
    made = study.loaded(study.spec("qwen", "plain", readout, ratio))
    assert made.slots == WINDOW // ratio
    width = made.slots * made.read_per_vector()
    assert 24 <= width < 24 + made.slots
    assert made.compress(torch.zeros(2, width, dtype=torch.long)).shape[:2] == (2, WINDOW // ratio)


def test_what_is_filled_in_changes_nothing_before_it(study):
    made = study.loaded(study.spec("qwen", "plain", "interleaved"))
    each = made.read_per_vector()
    text = torch.randint(1, 290, (1, each))
    rows = torch.cat([text.expand(2, -1), torch.tensor([[0] * each, [7] * each])], dim=1)
    with torch.no_grad():
        one, two = made.compress(rows)
    torch.testing.assert_close(one[0], two[0])
    assert not torch.allclose(one[1], two[1])


def test_memory_is_crammed_in_the_decoders_own_tokens(study, tmp_path):
    spec = CrammingSpec(decoder="neox", passages=6, vectors=(1,), steps=3)
    cram(
        spec=spec,
        decoder=study.models["neox"],
        tokenizer=study.words["neox"],
        passages=study.passages["neox"][0],
        output=tmp_path / "crammed.parquet",
        record=tmp_path / "record.json",
    )
    found = read_table(tmp_path / "crammed.parquet", CRAMMED)
    passages = read_table(study.passages["neox"][0], PASSAGES)
    wanted = passages.loc[passages["split"] == "test", "passage_id"].head(6)
    assert sorted(found["passage_id"]) == sorted(wanted)


def test_latency_is_timed_by_each_models_own_tokens(study, tmp_path):
    spec = LatencySpec(
        sizes=("plain", "neox"), readout="mean_pool", connector="mlp", ratios=(4,), window=WINDOW, windows={"neox": 20}
    )
    measure_latency(
        spec=spec,
        models=[study.models[name] for name in spec.sizes],
        tokenizers=[study.words[name] for name in spec.sizes],
        output=tmp_path / "latency.csv",
        record=tmp_path / "latency.json",
    )
    assert set(pd.read_csv(tmp_path / "latency.csv")["size"]) == {"plain", "neox"}


def test_a_compressor_knows_its_tokenizers(study):
    spec = study.spec("plain", "qwen")
    folder = study.trained(spec)
    parts = parts_of(study.models["plain"], study.models["qwen"], study.folder / "tokens/tokenizer")
    with pytest.raises(UserError, match="a tokenizer of its own, and no decoder_tokenizer is given"):
        load_compressor(folder, parts, DEVICE)
    with pytest.raises(UserError, match="was trained on another decoder_tokenizer"):
        load_compressor(folder, parts | {"decoder_tokenizer": study.words["neox"]}, DEVICE)


@pytest.mark.parametrize(("encoder", "decoder"), [("plain", "qwen"), ("qwen", "plain"), ("qwen", "neox")])
def test_a_compressor_is_used_outside_its_study(study, tmp_path, encoder, decoder):
    spec = study.spec(encoder, decoder)
    reused = Reused.from_pretrained(study.trained(spec))
    ids = study.study(STORY, add_special_tokens=False)["input_ids"][: 2 * WINDOW + 3]
    text = study.study.decode(ids)
    memory = reused.compress([text, "the ball"])
    assert [len(vectors) for vectors in memory.vectors] == [3 * WINDOW // 4, -(-memory.tokens[1] // 4)]
    again = Memory.from_bytes(memory.to_bytes(), "memory")
    assert again.written == memory.written
    reads, writes = (load_tokenizer(study.words[name]) for name in (encoder, decoder))
    made, taken, texts = study.loaded(spec), [], []
    for start, kept in ((0, WINDOW), (WINDOW, 3), (WINDOW + 3, WINDOW)):
        own = ids[start : start + WINDOW]
        window = study.study.decode(own)
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
        texts[1] = study.study.decode(study.study(texts[1], add_special_tokens=False)["input_ids"][:3])
        expected = "".join(texts)
    assert reused.reconstruct(again)[0] == expected
    reused.save_pretrained(tmp_path / "copy")
    copy = Reused.from_pretrained(tmp_path / "copy")
    assert copy.compress([text]).vectors[0].equal(memory.vectors[0])
    assert copy.inputs_embeds(copy.compress(["the ball"]), "and").shape[0] == 1


def test_specs_of_one_tokenizer_name_no_other(study):
    told = json.loads(study.spec("plain", "plain").line())
    assert not [key for key in told if "_window" in key]
    assert "decoder_window" in json.loads(study.spec("plain", "qwen").line())
    folder = study.trained(study.spec("plain", "plain"))
    assert set(json.loads((folder / "compressor.json").read_text())) == {"spec", "encoder", "decoder", "tokenizer"}


def test_rows_are_filled_up_and_cut():
    assert filled([[1, 2, 3], [4]], 2, 9).tolist() == [[1, 2], [4, 9]]
    rows, lengths = padded([[1, 2, 3], [4]], 9)
    assert rows.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert lengths.tolist() == [3, 1]


def test_options_of_several_paths_may_be_left_out_and_take_several():
    parser = argparse.ArgumentParser()
    _add_options(parser, reconstruct)
    kinds = ("spec", "compressor", "encoder", "decoder", "tokenizer", "passages", "output", "record")
    needed = [word for kind in kinds for word in (f"--{kind}", "there")]
    assert parser.parse_args(needed).decoder_passages is None
    given = parser.parse_args([*needed, "--decoder-passages", "one", "two", "--encoder-tokenizer", "words"])
    assert given.decoder_passages == [Path("one"), Path("two")]
    assert given.encoder_tokenizer == Path("words")
