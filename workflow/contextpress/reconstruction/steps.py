"""Steps of the reconstruction room."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from contextpress.compressor.folder import load_compressor, parts_of
from contextpress.lm.folder import load_model
from contextpress.reconstruction import greedy
from contextpress.reconstruction.answers import answer as answer_questions
from contextpress.reconstruction.answers import contexts
from contextpress.reconstruction.conditions import BLOCK, blocks, other_passages
from contextpress.reconstruction.conditions import reconstruct as under_each_condition
from contextpress.reconstruction.cramming import Decoder
from contextpress.reconstruction.cramming import cram as cram_passages
from contextpress.reconstruction.metrics import SIGNATURES, measure_all
from contextpress.reconstruction.spec import CrammingSpec, MistakesSpec, ReconstructionSpec
from contextpress.reconstruction.table import ANSWERED_FROM, ANSWERS, CONDITIONS, CRAMMED, RECONSTRUCTIONS
from contextpress.runtime.device import device_name, prepare, rows_at_once
from contextpress.runtime.record import write_record
from contextpress.runtime.sampling import endless
from contextpress.runtime.tables import batches, read_table, write_table, writing
from contextpress.tokens.arrays import load_arrays, save_arrays, share_out, windows
from contextpress.tokens.asked import ASKED
from contextpress.tokens.own import filled, padded
from contextpress.tokens.passages import PASSAGES, sampled
from contextpress.tokens.tokenizer import encoded, load_tokenizer, restate_id


def reconstruct(
    *,
    spec: ReconstructionSpec,
    compressor: Path,
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    passages: list[Path],
    output: Path,
    record: Path,
    encoder_tokenizer: Path | None = None,
    decoder_tokenizer: Path | None = None,
    encoder_passages: list[Path] | None = None,
    decoder_passages: list[Path] | None = None,
) -> None:
    """Reconstruct the test passages and the ladder from memory and from controls; float32, exact greedy.

    Of a model with a tokenizer of its own, that is given, and the passages in its tokens.
    """
    device = prepare(0)
    started = time.perf_counter()
    folders = parts_of(encoder, decoder, tokenizer, encoder_tokenizer, decoder_tokenizer)
    study, writes = load_tokenizer(tokenizer), load_tokenizer(decoder_tokenizer or tokenizer)
    model = load_compressor(compressor, folders, device)
    passes, positions = 0, 0
    with torch.inference_mode(), writing(output, RECONSTRUCTIONS) as write:
        # Block by block the same passages: in the decoder's tokens, and in the encoder's where theirs may differ.
        own = encoder_tokenizer is not None or decoder_tokenizer is not None
        of_encoder: Iterator[pd.DataFrame | None] = _blocks(encoder_passages or passages) if own else repeat(None)
        for frame, seen in zip(_blocks(decoder_passages or passages), of_encoder, strict=own):
            ids, lengths = (torch.from_numpy(a).to(device) for a in padded(frame["token_ids"].tolist(), model.bos))
            others = other_passages(frame["domain"] + "/" + frame["variant"], frame["document_id"]).to(device)
            sample = torch.from_numpy(np.flatnonzero(frame["sampled"])).to(device)
            other_tokens: dict[str, torch.Tensor] = {}
            if seen is not None:
                width = model.slots * model.read_per_vector()
                read = filled(seen["token_ids"].tolist(), width, model.encoder_bos)
                other_tokens = {"read": torch.from_numpy(read).to(device), "lengths": lengths}
            parts = {}
            for condition, places, done in under_each_condition(model, ids, others, sample, spec.batch, **other_tokens):
                passes, positions = passes + done.cost.passes, positions + done.cost.positions
                wanted = frame.iloc[places.cpu().numpy()].reset_index(drop=True)
                true = wanted["token_ids"].map(list).tolist()
                made = [row[: len(ids)] for row, ids in zip(done.ids.tolist(), true, strict=True)]
                texts = writes.batch_decode(made, clean_up_tokenization_spaces=False)
                counted = (true, made)
                if decoder_tokenizer:
                    counted = (encoded(study, wanted["text"].tolist()), encoded(study, texts))
                part = measure_all(*counted, wanted["text"].tolist(), texts)
                parts[condition] = part.assign(
                    passage_id=wanted["passage_id"],
                    condition=condition,
                    nll=done.nll.double().cpu().numpy(),
                    accuracy=done.accuracy.double().cpu().numpy(),
                    reconstruction=texts,
                    token_ids=made,
                )
            for condition in CONDITIONS:
                if condition in parts:
                    write(parts[condition])
    seconds = round(time.perf_counter() - started, 1)
    write_record(record, spec, seconds=seconds, forward_passes=passes, positions=positions, signatures=SIGNATURES)


def _blocks(passages: list[Path]) -> Iterator[pd.DataFrame]:
    """The test passages and the ladder, block by block. Besides, the names of all are held, to know the sample."""
    named = pd.concat(batches(passages, PASSAGES, ["passage_id", "domain", "split", "variant"]), ignore_index=True)
    named = named[named["split"] == "test"]
    chosen = sampled(named).to_numpy()
    sizes = blocks(named["domain"] + "/" + (named["variant"] == "normal").astype(str))
    waiting, start = pd.DataFrame(), 0
    for frame in batches(passages, PASSAGES, count=BLOCK):
        waiting = pd.concat([waiting, frame[frame["split"] == "test"]])
        while sizes and len(waiting) >= sizes[0]:
            size = sizes.pop(0)
            yield waiting.iloc[:size].reset_index(drop=True).assign(sampled=chosen[start : start + size])
            waiting, start = waiting.iloc[size:], start + size


def answer(
    *,
    spec: ReconstructionSpec,
    compressor: Path,
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    passages: Path,
    asked: Path,
    output: Path,
    record: Path,
) -> None:
    """Answer the probe's questions from memory and from controls; float32, exact greedy."""
    device = prepare(0)
    started = time.perf_counter()
    words = load_tokenizer(tokenizer)
    model = load_compressor(compressor, parts_of(encoder, decoder, tokenizer), device)
    frame, questions = read_table(passages, PASSAGES), read_table(asked, ASKED)
    others = other_passages(frame["domain"], frame["document_id"]).to(device)
    place = {name: number for number, name in enumerate(frame["passage_id"])}
    own = [place[name] for name in questions["passage_id"]]
    prompts, true = (questions[name].map(list).tolist() for name in ("prompt_ids", "answer_ids"))
    parts, passes, positions = [], 0, 0
    with torch.inference_mode():
        ids = torch.tensor(frame["token_ids"].map(list).tolist(), dtype=torch.int64, device=device)
        read = contexts(model, ids, others)
        for source in ANSWERED_FROM:
            which = own if len(read[source]) == len(frame) else [0] * len(own)
            made, cost = answer_questions(model, read[source], which, prompts, true, spec.batch)
            passes, positions = passes + cost.passes, positions + cost.positions
            columns = {
                "question_id": questions["question_id"],
                "answered_from": source,
                "right": [one == other for one, other in zip(made, true, strict=True)],
                "written": words.batch_decode(made, clean_up_tokenization_spaces=False),
            }
            parts.append(pd.DataFrame(columns))
    write_table(output, pd.concat(parts, ignore_index=True), ANSWERS)
    seconds = round(time.perf_counter() - started, 1)
    write_record(record, spec, device=device_name(device), seconds=seconds, forward_passes=passes, positions=positions)


def cram(*, spec: CrammingSpec, decoder: Path, tokenizer: Path, passages: Path, output: Path, record: Path) -> None:
    """Optimise memory for a sample of the test passages against one decoder, without an encoder; float32."""
    device = prepare(0)
    started = time.perf_counter()
    tested = (part[part["split"] == "test"] for part in batches([passages], PASSAGES))
    firsts = (part.groupby("domain", sort=False).head(spec.passages) for part in tested)
    frame = pd.concat(firsts).groupby("domain", sort=False).head(spec.passages)
    words = load_tokenizer(tokenizer)
    model = load_model(decoder, device).requires_grad_(requires_grad=False)
    ids, lengths = (torch.from_numpy(a).to(device) for a in padded(frame["token_ids"].tolist(), words.bos_token_id))
    mark = restate_id(words)
    mark = words.bos_token_id if mark is None else mark  # where a compressor's own <restate> starts as well
    reader = Decoder(model, words.bos_token_id, model.get_input_embeddings().weight[mark].float())
    parts, positions = [], 0
    names = frame["passage_id"].to_numpy()
    # Passages of one length at a time, of which there are several only in a decoder's own tokens.
    groups = [torch.nonzero(lengths == length).squeeze(1) for length in lengths.unique().tolist()]
    for vectors in spec.vectors:
        for rows in groups:
            done = cram_passages(reader, ids[rows, : int(lengths[rows[0]])], vectors, spec)
            columns = {
                "tokens_aimed": done.aim,
                "tokens_exact": done.exact,
                "tokens_correct": done.correct,
                "nats_held": done.nats.double(),
                "steps": done.steps,
            }
            part = pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()})
            parts.append(part.assign(passage_id=names[rows.cpu().numpy()], decoder=spec.decoder, vectors=vectors))
            positions += done.positions
    write_table(output, pd.concat(parts, ignore_index=True), CRAMMED)
    seconds = round(time.perf_counter() - started, 1)
    write_record(record, spec, device=device_name(device), seconds=seconds, positions=positions)


def mistakes(
    *,
    spec: MistakesSpec,
    compressor: Path,
    encoder: Path,
    decoder: Path,
    tokenizer: Path,
    arrays: list[Path],
    output: Path,
    record: Path,
) -> None:
    """Write back training passages from memory; float32, exact greedy. Those without a mistake are kept as well."""
    device = prepare(0)
    started = time.perf_counter()
    model = load_compressor(compressor, parts_of(encoder, decoder, tokenizer), device)
    drawn = []
    for (domain, count), path in zip(share_out(spec.passages, spec.domains).items(), arrays, strict=True):
        loaded = load_arrays(path)
        rows = windows(loaded["ids"], loaded["offsets"], spec.window)
        chosen = endless(torch.arange(len(rows)), count, spec.seed, f"mistakes in {domain}")(0)
        drawn.append(torch.from_numpy(rows[chosen.numpy()].astype("int64")))
    true, written, passes, positions = torch.cat(drawn), [], 0, 0
    for part in true.split(BLOCK):
        ids = part.to(device)
        with torch.inference_mode():
            chunks = ids.split(rows_at_once(device, 1 + spec.window + model.slots))
            prefix = torch.cat([model.prefix(model.compress(chunk)) for chunk in chunks])
            done = greedy.reconstruct(model.decoder, prefix, ids, batch=spec.batch)
        written.append(done.ids.cpu())
        passes, positions = passes + done.cost.passes, positions + done.cost.positions
    made = torch.cat(written)
    save_arrays(output, **{name: ids.numpy().astype(np.uint32) for name, ids in (("true", true), ("written", made))})
    exact = float((made == true).all(1).double().mean())
    seconds = round(time.perf_counter() - started, 1)
    write_record(record, spec, seconds=seconds, forward_passes=passes, positions=positions, exact=exact)
