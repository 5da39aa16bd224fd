"""``contextpress advise``: how well a text would be reconstructed at each ratio, predicted by a finished study."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from contextpress.analysis.prediction import Fitted, Predictor, Seen, expected, interval, outside
from contextpress.commands.texts import STANDARD_INPUT, text_of, text_of_input
from contextpress.report.markdown import columns
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json

FINDING = Path("findings/predictor.json")
LEVEL = 0.9  # of the intervals shown; quality is expected below the lower end once in twenty passages


@dataclass(frozen=True)
class Chunk:
    """Advice on one window of the text.

    Attributes:
        start: its first token, counted in the text.
        tokens: how many it has.
        encoder_nll: nats per token.
        decoder_nll: nats per token.
        outside: why nothing is predicted: what lies outside of what the study saw; None if nothing does.
        predicted: by ratio, quality and the two ends of its interval.
        largest_ratio: at which the lower end meets the target; None if at none.
    """

    start: int
    tokens: int
    encoder_nll: float
    decoder_nll: float
    outside: str | None
    predicted: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    largest_ratio: int | None = None


@dataclass(frozen=True)
class Advice:
    """What is told of a text.

    Attributes:
        calibrated: whether the study's predictor is, by its own rule.
        met: by ratio, how many of the chunks meet the target; those outside of what was seen do not.
    """

    text: str
    study: str
    encoder: str
    decoder: str
    readout: str
    measure: str
    target: float
    level: float
    calibrated: bool
    tokens: int
    met: dict[int, int]
    chunks: tuple[Chunk, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="text in UTF-8; none: standard input")
    parser.add_argument("--study", required=True, type=Path, metavar="FOLDER", help="of a finished study")
    parser.add_argument("--encoder", metavar="NAME", help="by default the first of the study")
    parser.add_argument("--decoder", metavar="NAME", help="by default the encoder's namesake, or the first")
    parser.add_argument("--readout", metavar="NAME", help="by default the first of the pair")
    parser.add_argument("--measure", metavar="NAME", help="of quality; by default the one C1 was tested on")
    parser.add_argument(
        "--target", type=float, default=0.9, metavar="QUALITY", help="wanted, as a share of the best; default: 0.9"
    )
    parser.add_argument("--json", action="store_true", help="write JSON in place of the table")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw the prediction along the text")


def run(chosen: argparse.Namespace) -> None:
    """Print what is predicted of every window of the text.

    Raises:
        UserError: if the text is missing, empty or not text, or the study has no predictor or not what is asked for.
    """
    if not 0 < chosen.target < 1:
        raise UserError(f"--target is {chosen.target:g}: a share above 0 and below 1 is wanted")
    if chosen.plot is not None and chosen.plot.suffix != ".png":
        raise UserError(f"--plot is {chosen.plot}: a name that ends in .png is wanted")
    name = STANDARD_INPUT if chosen.file is None else str(chosen.file)
    text = text_of_input() if chosen.file is None else text_of(chosen.file)
    found, predictor = _found(chosen.study)
    measure = _one_of("measure", chosen.measure or found["measure"], predictor.measures)
    of_encoder = _asked("encoder", chosen.encoder, predictor.seen)
    of_pair = _asked("decoder", chosen.decoder or _namesake(of_encoder), of_encoder)
    seen = _of_one_seed(_asked("readout", chosen.readout, of_pair))
    tokens, chunks = _chunks(text, name, chosen.study, predictor, seen, predictor.measures[measure], chosen.target)
    wanted = chosen.target * predictor.measures[measure].scale
    advice = Advice(
        text=name,
        study=str(chosen.study),
        encoder=seen[0].encoder,
        decoder=seen[0].decoder,
        readout=seen[0].readout,
        measure=measure,
        target=chosen.target,
        level=LEVEL,
        calibrated=found["answer"] == "calibrated",
        tokens=tokens,
        met={
            one.ratio: sum(chunk.outside is None and chunk.predicted[one.ratio][1] >= wanted for chunk in chunks)
            for one in seen
        },
        chunks=chunks,
    )
    if chosen.plot is not None:
        from contextpress.figures.advised import plot

        plot(advice, predictor.measures[measure].scale, chosen.plot)
    lines = [json.dumps(asdict(advice), indent=2, ensure_ascii=False)] if chosen.json else _lines(advice, predictor)
    sys.stdout.write("\n".join(lines) + "\n")


def _found(study: Path) -> tuple[dict[str, Any], Predictor]:
    """The finding of a study and the predictor in it."""
    path = study / FINDING
    if not path.is_file():
        raise UserError(f"{study} is no finished study's folder: it has no {FINDING}; snakemake findings makes it")
    found = read_json(path)
    if isinstance(found, dict) and found.get("predictor", ...) is None:
        raise UserError(f"study {study} has no predictor: {found.get('reason')}")
    try:
        return found, Predictor.read(found["predictor"])
    except (UserError, KeyError, TypeError):
        raise UserError(f"{path} holds no predictor; delete it and run snakemake findings again") from None


def _one_of(key: str, value: str, known: Any) -> str:  # noqa: ANN401 - anything that holds names
    if value not in known:
        raise UserError(f"--{key} {value} is not of this study's predictor; there are: {', '.join(sorted(known))}")
    return value


def _asked(key: str, value: str | None, seen: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Those compressors that have ``value`` at ``key``; without a value, that of the first."""
    names = dict.fromkeys(getattr(one, key) for one in seen)
    value = _one_of(key, value or next(iter(names)), names)
    return tuple(one for one in seen if getattr(one, key) == value)


def _namesake(seen: tuple[Seen, ...]) -> str | None:
    return next((one.decoder for one in seen if one.decoder == one.encoder), None)


def _of_one_seed(seen: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """The compressors of the first of those seeds that have the most ratios, by ratio: their models are the same."""
    seeds = [one.seed for one in seen]
    seed = min(seeds, key=lambda seed: (-seeds.count(seed), seed))
    return tuple(sorted((one for one in seen if one.seed == seed), key=lambda one: one.ratio))


def _chunks(
    text: str, name: str, study: Path, predictor: Predictor, seen: tuple[Seen, ...], fitted: Fitted, target: float
) -> tuple[int, tuple[Chunk, ...]]:
    """How many tokens a text has, and what is predicted of each window of them.

    Windows are cut as a compressor cuts them; the last one may overlap the one before.
    """
    # Only now: mistakes in text and options are told before torch is imported.
    from transformers.utils import logging

    from contextpress.reuse.pieces import pieces
    from contextpress.runtime.device import prepare
    from contextpress.tokens.tokenizer import encoded, load_tokenizer

    logging.disable_progress_bar()
    tokenizer = load_tokenizer(study / "tokens/tokenizer")
    (ids,) = encoded(tokenizer, [text])
    if not ids:
        raise UserError(f"{name} is empty")
    cut = pieces(len(ids), predictor.window, 1)
    rows = [ids[piece.start : piece.start + piece.tokens] for piece in cut]
    device = prepare(0)
    entropies = {
        side: _entropies(study / "lm" / getattr(seen[0], f"{side}_model"), rows, tokenizer.bos_token_id, device)
        for side in ("encoder", "decoder")
    }
    values = pd.DataFrame({f"{side}_nll": found for side, found in entropies.items()})
    values["surplus"] = values["decoder_nll"] - values["encoder_nll"]
    predicted: dict[int, list[tuple[float, float, float]]] = {}
    for one in seen:
        mean = expected(fitted, values.assign(**one.model_dump(exclude={"encoder_nll", "decoder_nll", "surplus"})))
        low, high = interval(fitted, mean, one.ratio, LEVEL)
        predicted[one.ratio] = [(float(m), float(a), float(b)) for m, a, b in zip(mean, low, high, strict=True)]
    chunks = []
    for place, piece in enumerate(cut):
        value = {str(name): float(values[name].iloc[place]) for name in values}
        short = piece.tokens < predictor.window
        why = f"{piece.tokens} tokens, seen {predictor.window}" if short else outside(value, seen)
        here = {ratio: found[place] for ratio, found in predicted.items() if why is None}
        enough = [ratio for ratio, (_, low, _) in here.items() if low >= target * fitted.scale]
        nats = value["encoder_nll"], value["decoder_nll"]
        chunks.append(Chunk(piece.start, piece.tokens, *nats, why, here, max(enough, default=None)))
    return len(ids), tuple(chunks)


def _entropies(model: Path, rows: list[list[int]], bos: int, device: Any) -> list[float]:  # noqa: ANN401 - of torch
    """Nats per token of each row under the model of a folder, as the study measures them."""
    import torch

    from contextpress.entropy.score import score_tokens
    from contextpress.lm.folder import load_model

    scores = score_tokens(load_model(model, device), torch.tensor(rows), bos)
    found: list[float] = scores["nll"].double().mean(1).tolist()
    return found


def _lines(advice: Advice, predictor: Predictor) -> list[str]:
    """The advice as a table with what it rests on above, and what to do below."""
    count, best = len(advice.chunks), predictor.measures[advice.measure].scale
    goal = f"{advice.target * best:g}"
    head = ["tokens", "encoder", "decoder", *(f"ratio {ratio}" for ratio in advice.met), "largest ratio"]
    table = columns([head, *(_row(chunk, list(advice.met), 2 if best == 1 else 0) for chunk in advice.chunks)])
    said = [
        f"{advice.text}: {advice.tokens} tokens, {count} window{'s' * (count > 1)} of {predictor.window}",
        f"{advice.study}: encoder {advice.encoder}, decoder {advice.decoder}, {advice.readout}; entropy in nats per "
        f"token, {advice.measure} with its {advice.level * 100:g} % prediction interval",
        *([] if advice.calibrated else ["the predictor of this study is not calibrated by its own rule"]),
        "",
        *table,
        "",
        f"Largest ratio: at which the lower end is at least {goal}.",
        *(f"At ratio {ratio} {met} of {count} windows meet {goal}." for ratio, met in advice.met.items()),
    ]
    left_out = sum(chunk.outside is not None for chunk in advice.chunks)
    if left_out:
        said.append(f"Of {left_out} of {count} windows nothing is predicted: the study saw none like them.")
    return said


def _row(chunk: Chunk, ratios: list[int], digits: int) -> list[str]:
    row = [f"{chunk.start}-{chunk.start + chunk.tokens - 1}", f"{chunk.encoder_nll:.2f}", f"{chunk.decoder_nll:.2f}"]
    if chunk.outside is not None:
        return [*row, *[""] * len(ratios), f"outside: {chunk.outside}"]
    shown = [[f"{number:.{digits}f}" for number in chunk.predicted[ratio]] for ratio in ratios]
    return [*row, *(f"{mean} [{low}, {high}]" for mean, low, high in shown), str(chunk.largest_ratio or "none")]
