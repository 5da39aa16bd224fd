"""The model card of a compressor, as Markdown."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from safetensors import safe_open

from contextpress.analysis.join import memory_gain
from contextpress.analysis.panel import COMPRESSOR
from contextpress.analysis.spec import CompressorDescription, MemoryTest
from contextpress.compressor.description import WEIGHTS, Description, describe
from contextpress.compressor.spec import CompressorSpec
from contextpress.report.markdown import bullets, number, table
from contextpress.report.spec import CardsSpec, Origin
from contextpress.runtime.files import reading

HEAD = """---
library_name: contextpress
tags: [context-compression]
---"""
SHOWN = {
    "accuracy": ("token accuracy", "{:.3f}"),
    "token_f1": ("token F1", "{:.3f}"),
    "bleu": ("BLEU", "{:.1f}"),
    "exact_match": ("exact match", "{:.3f}"),
    "nll": ("NLL, own memory", "{:.3f}"),
    "nll_shuffled": ("NLL, other memory", "{:.3f}"),
}
COLUMNS = [*COMPRESSOR, *SHOWN, "domain", "document_id", "variant", "memory_used"]  # of the observations
LEGEND = (
    "Means over passages that training has not seen. Token accuracy and NLL (nats per token): each token is predicted "
    "after the true ones before it. The others: of the text that greedy decoding writes from the memory alone. Other "
    "memory: that of another passage of the domain."
)
LIMITS = (
    "A research artefact: it restates short texts of the kinds above, with errors, and does nothing else.",
    "Measured on whole windows only. Longer texts are pressed window by window, each by itself; the last window "
    "overlaps the one before. Shorter texts are filled up to a multiple of the ratio by their last token.",
    "Its memory is read by its own decoder, and by no other. It saves places in that decoder's context, not bytes: a "
    "memory file is larger than the text.",
    "Memory is no encryption: whoever has the decoder can read the text from it, as well as the table says.",
)
LICENCE = (
    "No licence is given with these weights. They were trained on text that has licences of its own: the study's "
    "`corpus/manifest.json` names the packages, folders or generators it comes from, by domain."
)


def card(spec: CardsSpec, described: CompressorDescription, folder: Path, observations: pd.DataFrame) -> str:
    """The card of the compressor in ``folder``."""
    told = describe(folder)
    mine = observations[COMPRESSOR].eq([getattr(described, name) for name in COMPRESSOR]).all(axis=1)
    rows = observations[mine & (observations["variant"] == "normal")]
    trained = told.spec
    sections = {
        "Use": _use(f"results/{spec.study}/compressors/{trained.name}"),
        "What it was trained on": _training(spec, told, folder),
        "How well it does": f"{LEGEND}\n\n{_metrics(rows)}",
        "Memory use": _verdict(rows, spec.memory_test),
        "Limits": bullets(LIMITS),
        "Licence": LICENCE,
    }
    opening = (
        f"Presses text into vectors, {trained.window} tokens at a time, one vector for {trained.architecture.ratio} of "
        f"them; a decoder reads the vectors in place of the text. Trained in study {spec.study} of contextpress."
    )
    parts = [HEAD, f"# {trained.name}", opening, *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def _use(folder: str) -> str:
    return f"""```python
from contextpress import Compressor

compressor = Compressor.from_pretrained("{folder}")
memory = compressor.compress(["A text that is to be pressed into a few vectors."])
texts = compressor.reconstruct(memory)
```

For what transformers generates, `compressor.decoder.generate(inputs_embeds=compressor.inputs_embeds(memory))`."""


def _training(spec: CardsSpec, told: Description, folder: Path) -> str:
    trained = told.spec
    built, schedule = trained.architecture, trained.schedule
    passages = schedule.steps * schedule.batch
    items = [
        f"text: {_shares(trained.domains)}; the training split of each domain of the study",
        f"objective: {trained.objective.replace('_', ', ')}; {schedule.steps:,} steps of {schedule.batch} passages "
        f"({passages:,} in all, at first shorter ones), peak learning rate {number(schedule.learning_rate)}, seed "
        f"{trained.seed}",
        *(
            f"{role}: {name}, {_origin(spec.models[name])}; {_size(folder / part.file)} parameters; "
            f"training: {training}{'; tokens: of its own tokenizer' if own else ''}"
            for role, name, part, training, own in (
                ("encoder", trained.encoder, told.encoder, built.encoder_training, told.encoder_tokenizer),
                ("decoder", trained.decoder, told.decoder, built.decoder_training, told.decoder_tokenizer),
            )
        ),
        f"read-out: {built.readout.replace('_', ' ')}; connector: {_connector(trained)}",
        f"weights that were trained: {_size(folder / WEIGHTS)}",
    ]
    return bullets(items)


def _connector(trained: CompressorSpec) -> str:
    own = trained.architecture.readout == "kv_prefix"
    return "a matrix for each layer's keys and values" if own else trained.architecture.connector


def _origin(origin: Origin) -> str:
    if origin.mixture is None:
        return f"loaded from {origin.load}"
    return f"pretrained on {origin.mixture} ({_shares(origin.shares) if origin.shares else 'uniform random tokens'})"


def _shares(weights: dict[str, float]) -> str:
    whole = sum(weights.values())
    return ", ".join(f"{name} {100 * weight / whole:.3g} %" for name, weight in weights.items())


def _size(path: Path) -> str:
    """How many numbers a safetensors file holds; only its header is read."""
    with reading(path, "safetensors"), safe_open(path, "np") as held:
        return f"{sum(math.prod(held.get_slice(name).get_shape()) for name in held.keys()):,}"  # noqa: SIM118


def _metrics(rows: pd.DataFrame) -> str:
    head = ["domain", "passages", "documents", *(name for name, _ in SHOWN.values())]
    groups = [*rows.groupby("domain", sort=True), ("all", rows)]
    body = [
        [
            str(domain),
            f"{len(part):,}",
            f"{part['document_id'].nunique():,}",
            *(form.format(part[measure].mean()) for measure, (_, form) in SHOWN.items()),
        ]
        for domain, part in groups
    ]
    return table(head, body, numbers=head[1:])


def _verdict(rows: pd.DataFrame, test: MemoryTest) -> str:
    mean, lower = memory_gain(rows, test.confidence)
    used = bool(rows["memory_used"].iloc[0])
    bound = number(lower) if math.isfinite(lower) else "not known"
    rule = (
        f"With its own memory the decoder predicts a passage by {number(mean)} nats per token better than with another "
        f"passage's (one-sided {100 * test.confidence:g} % lower bound {bound}, errors counted by document; "
        f"{rows['document_id'].nunique():,} documents). A bound above {number(test.min_gain)} counts as use."
    )
    return f"**{'Used' if used else 'Not shown to be used'}.** {rule}"
