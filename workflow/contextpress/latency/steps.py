"""Steps of the latency room."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import Architecture
from contextpress.latency.spec import LatencySpec
from contextpress.lm.folder import load_model
from contextpress.reconstruction.greedy import stepwise
from contextpress.runtime.device import device_name, prepare
from contextpress.runtime.files import write_text
from contextpress.runtime.record import write_record
from contextpress.tokens.tokenizer import load_tokenizer, restate_id

BATCHES = (1, 32)  # passages at a time: one who waits, and many
REPEATS = 7


def measure(*, spec: LatencySpec, models: list[Path], tokenizers: list[Path], output: Path, record: Path) -> None:
    """Time encoding to memory and plain greedy reconstruction, by size of model; no two runs give the same numbers.

    Encoder and decoder are of one size, new parts untrained: time does not depend on what weights say. Reconstruction
    takes one pass per token, from memory to the last token, with no guessing by the known text as in evaluation.
    """
    device = prepare(0)
    started = time.perf_counter()
    rows = []
    for size, folder, tokenizer in zip(spec.sizes, models, tokenizers, strict=True):
        words, own = load_tokenizer(tokenizer), spec.windows.get(size)
        for ratio in spec.ratios:
            encoder, decoder = load_model(folder, device), load_model(folder, device)
            parameters = sum(weights.numel() for weights in decoder.parameters())
            architecture = Architecture(readout=spec.readout, ratio=ratio, connector=spec.connector)
            compressor = Compressor(
                *(encoder, decoder, architecture, spec.window, words.bos_token_id, restate_id(words)),
                encoder_window=own,
            ).eval()
            for batch in BATCHES:
                length = compressor.slots * compressor.read_per_vector()
                ids = torch.randint(len(words), (batch, length), device=device)
                for part, milliseconds in _parts(compressor.to(device), ids).items():
                    low, median, high = np.quantile(milliseconds, [0.25, 0.5, 0.75]) / batch
                    rows.append([size, parameters, part, ratio, batch, median, low, high, REPEATS])
    columns = ["size", "parameters", "part", "ratio", "batch", "ms_per_passage", "quartile_1", "quartile_3", "repeats"]
    table = pd.DataFrame(rows, columns=columns).assign(device=device_name(device), threads=torch.get_num_threads())
    write_text(output, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    seconds = round(time.perf_counter() - started, 1)
    note = "timings: they differ from run to run, and are slower while other jobs share the machine"
    write_record(record, spec, seconds=seconds, device=device_name(device), threads=torch.get_num_threads(), note=note)


@torch.inference_mode()
def _parts(compressor: Compressor, ids: torch.Tensor) -> dict[str, list[float]]:
    """Milliseconds of each repeat, for a whole batch of token ids [batch, window]."""
    prefix = compressor.prefix(compressor.compress(ids))
    return {
        "encode": _repeated(lambda: compressor.compress(ids)),
        "reconstruct": _repeated(lambda: stepwise(compressor.decoder, prefix, ids.shape[1], batch=len(ids))),
    }


def _repeated(work: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(REPEATS + 1):  # the first, which warms up, is dropped
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(1000 * (time.perf_counter() - started))
    return found[1:]
