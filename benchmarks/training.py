"""Training: a compressor, a language model, and how much of the processor's arithmetic the first one uses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer, TrainingArguments

from benchmarks.flops import compressor_step, learning_matrices, muon_step
from benchmarks.harness import Side
from benchmarks.shapes import BOS, PAD, RESTATE, Shape, language_model, tokens
from contextpress.compressor.model import Compressor
from contextpress.compressor.objectives import Autoencoding
from contextpress.compressor.spec import Architecture, Curriculum
from contextpress.compressor.training import train
from contextpress.lm.pretrain import NextToken, pretrain
from contextpress.lm.rows import plain_rows
from contextpress.lm.spec import Pretraining
from contextpress.runtime.device import attention_kernel, has_bf16
from contextpress.runtime.fit import fit, rate_at
from contextpress.runtime.schedule import Schedule

RATE = 4e-3  # the default study's
ALL_OF_THE_WINDOW = Curriculum(quarter=0, half=0, small_groups=0)


def our_compressor(shape: Shape, device: torch.device) -> Side:
    """The compressor room's training, with ICAE's read-out, and with AdamW for all weights as the Trainer has it."""
    objective = _WithoutMuon(Autoencoding(_compressor(shape, device, "memory_tokens"), 0.0))
    parts = tokens(shape, shape.checked * shape.batch, shape.window).chunk(shape.checked)
    answer = _our_curve(objective, [(part,) for part in parts])
    return Side(_training(objective, shape), answer, _dtype(device))


def our_compressor_with_muon(shape: Shape, device: torch.device) -> Side:
    """The same with Muon for the matrices, as a study trains."""
    objective = Autoencoding(_compressor(shape, device, "memory_tokens"), 0.0)
    return Side(_training(objective, shape), None, _dtype(device))


def icae(shape: Shape, device: torch.device) -> Side:
    """ICAE's published recipe: one passage at a time, gradients accumulated, the decoder checkpointed."""
    return _trainer_of_compressors(shape, device, at_once=1, checkpointed=True)


def icae_batched(shape: Shape, device: torch.device) -> Side:
    """A stronger recipe: all passages of a step at once, nothing computed twice."""
    return _trainer_of_compressors(shape, device, at_once=shape.batch, checkpointed=False)


def our_language_model(shape: Shape, device: torch.device) -> Side:
    """The lm room's pretraining on rows of running text alone, with AdamW for all weights as the Trainer has it."""
    model = _WithoutMuon(language_model(shape, device, attention_kernel(device)))
    parts = tokens(shape, shape.checked * shape.rows, shape.row).chunk(shape.checked)
    answer = _our_curve(NextToken(model), [plain_rows(part, 1, BOS) for part in parts])
    windows = tokens(shape, shape.steps * shape.rows, shape.row)
    spec = Pretraining(schedule=_schedule(shape.steps, shape.rows), row=shape.row, restate_share=0, random_share=0)

    def run() -> float:
        pretrain(model, spec, (1,), windows, torch.arange(PAD + 1, shape.vocabulary), BOS, RESTATE, 0, "ours")
        return windows.numel()

    return Side(run, answer, _dtype(device))


def trained_language_model(shape: Shape, device: torch.device) -> Side:
    """transformers' Trainer as run_clm.py sets it: eight rows at a time, gradients accumulated."""
    return _trainer_of_language_models(shape, device, at_once=min(8, shape.rows))


def trained_language_model_batched(shape: Shape, device: torch.device) -> Side:
    """The same with all rows of a step at once."""
    return _trainer_of_language_models(shape, device, at_once=shape.rows)


def arithmetic_of_training(dtype: str, shape: Shape, device: torch.device) -> Side:
    """The default study's compressor training, in billions of floating-point operations."""
    objective = Autoencoding(_compressor(shape, device, "mean_pool"), 0.0)
    train_some = _training(objective, shape)
    model, muon = compressor_step(shape) / 1e9, muon_step(learning_matrices(shape)) / 1e9

    def run() -> float:
        chosen = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")
        with patch("contextpress.runtime.fit.mixed_precision", return_value=chosen):
            train_some()
        return shape.steps * model

    share = f"{model:.1f} GFLOP of matrix products of the model per step are counted"
    return Side(run, None, dtype, f"{share}, {muon:.1f} of Muon are not ({1 + muon / model:.2f} x with them)")


def peak_of_products(dtype: str, shape: Shape, device: torch.device) -> Side:
    """The fastest of some square matrix products, in billions of floating-point operations."""
    factors = {size: torch.randn(size, size, device=device, dtype=getattr(torch, dtype)) for size in (512, 1024, 2048)}
    if device.type == "cuda":
        factors[8192] = torch.randn(8192, 8192, device=device, dtype=getattr(torch, dtype))

    def product(size: int, times: int) -> Callable[[], float]:
        def run() -> float:
            for _ in range(times):
                factors[size] @ factors[size]
            return times * 2 * size**3 / 1e9

        return run

    rates = {size: _rate(product(size, 1), device) for size in factors}
    best = max(rates, key=rates.__getitem__)
    return Side(product(best, 8), None, dtype, f"peak: products of {best} x {best}")


class PlainICAE(nn.Module):
    """ICAE's training pass, written as ICAE writes it (getao/icae, code/icae_v2/modeling_icae_multi_span.py).

    Both models are whole language models. The encoder computes its logits, of which nothing is used; the decoder
    computes those of every position, memory too, and all go into the loss, most with label -100.
    """

    def __init__(
        self, compressor: Compressor, encoder: PreTrainedModel, decoder: PreTrainedModel, checkpointed: bool
    ) -> None:
        super().__init__()
        self.readout, self.connector, self.restate = compressor.readout, compressor.connector, compressor.restate
        self.group = compressor.ratio
        self.encoder, self.decoder = encoder, decoder.requires_grad_(requires_grad=False)
        if checkpointed:
            self.decoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Loss and logits of passages [batch, window]."""
        start = input_ids.new_full((len(input_ids), 1), BOS)
        embedded = self.encoder.get_input_embeddings()(torch.cat([start, input_ids], dim=1))
        read, positions = self.readout.inputs(embedded, self.group)
        encoded = self.encoder(
            inputs_embeds=read,
            position_ids=positions.unsqueeze(0),
            attention_mask=input_ids.new_ones(read.shape[:2]),
            output_hidden_states=True,
        )
        memory = self.connector(self.readout.select(encoded.hidden_states[-1], self.group))
        table = self.decoder.get_input_embeddings()
        mark = self.restate.expand(len(input_ids), 1, -1)
        prompt = torch.cat([table(start), memory, mark, table(input_ids)], dim=1)
        logits = self.decoder(inputs_embeds=prompt, output_hidden_states=True).logits
        ignored = input_ids.new_full((len(input_ids), memory.shape[1] + 2), -100)
        labels = torch.cat([ignored, input_ids], dim=1)
        loss = nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))
        return {"loss": loss, "logits": logits}


class _Rows(torch.utils.data.Dataset):
    """Rows of ids as a Trainer wants them."""

    def __init__(self, rows: Tensor, labelled: bool) -> None:
        self.rows, self.labelled = rows, labelled

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        row = {"input_ids": self.rows[place]}
        return row | {"labels": self.rows[place]} if self.labelled else row


class _WithoutMuon(nn.Module):
    """An objective or a model as a bag of weights: `fit` finds no layers in it for Muon, and takes AdamW for all."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.learning = nn.ParameterList(p for p in module.parameters() if p.requires_grad)
        self.__dict__["module"] = module  # not as a part, whose layers would be found

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["module"], name)

    def forward(self, *inputs: Tensor | int) -> Tensor:
        loss: Tensor = self.module(*inputs)
        return loss


def _compressor(shape: Shape, device: torch.device, readout: str) -> Compressor:
    encoder, decoder = (language_model(shape, device, attention_kernel(device), seed) for seed in (0, 1))
    return _compressor_of(encoder, decoder, shape, readout)


def _compressor_of(encoder: PreTrainedModel, decoder: PreTrainedModel, shape: Shape, readout: str) -> Compressor:
    torch.manual_seed(2)
    architecture = Architecture(readout=readout, ratio=shape.ratio)
    return Compressor(encoder, decoder, architecture, shape.window, BOS, RESTATE).to(encoder.device)


def _training(objective: nn.Module, shape: Shape) -> Callable[[], float]:
    rows = tokens(shape, shape.steps * shape.batch, shape.window).numpy()
    schedule = _schedule(shape.steps, shape.batch)

    def run() -> float:
        train(objective, {"text": rows}, {"text": 1.0}, schedule, ALL_OF_THE_WINDOW, 0, "ours")
        return rows.size

    return run


def _our_curve(objective: nn.Module, inputs: list[tuple[Tensor, ...]]) -> np.ndarray:
    """Losses of the checked steps, one for each of the ``inputs``."""
    schedule = _schedule(len(inputs), len(inputs[0][0]))
    tokens = sum(ids.numel() for ids, *_ in inputs)
    return np.array(fit("ours", objective, inputs.__getitem__, schedule, tokens).loss)


def _trainer_of_compressors(shape: Shape, device: torch.device, *, at_once: int, checkpointed: bool) -> Side:
    encoder, decoder = (language_model(shape, device, "sdpa", seed) for seed in (0, 1))
    model = PlainICAE(_compressor_of(encoder, decoder, shape, "memory_tokens"), encoder, decoder, checkpointed)
    if has_bf16(device):
        decoder.to(torch.bfloat16)  # ICAE loads its weights so; those that learn stay in float32 here
    checked = _Rows(tokens(shape, shape.checked * shape.batch, shape.window), labelled=False)
    answer = _their_curve(model, checked, shape, shape.batch, at_once, device)
    steps = max(1, shape.steps // 2) if at_once == 1 else shape.steps
    timed = _Rows(tokens(shape, steps * shape.batch, shape.window), labelled=False)

    def run() -> float:
        _train(model, timed, _schedule(steps, shape.batch), at_once, device)
        return timed.rows.numel()

    return Side(run, answer, _dtype(device))


def _trainer_of_language_models(shape: Shape, device: torch.device, *, at_once: int) -> Side:
    model = language_model(shape, device, "sdpa")

    def marked(steps: int) -> _Rows:
        rows = tokens(shape, steps * shape.rows, shape.row)
        return _Rows(torch.cat([rows.new_full((len(rows), 1), BOS), rows], dim=1), labelled=True)

    answer = _their_curve(model, marked(shape.checked), shape, shape.rows, at_once, device)
    timed = marked(shape.steps)

    def run() -> float:
        _train(model, timed, _schedule(shape.steps, shape.rows), at_once, device)
        return shape.steps * shape.rows * shape.row

    return Side(run, answer, _dtype(device))


def _their_curve(
    model: nn.Module, rows: _Rows, shape: Shape, batch: int, at_once: int, device: torch.device
) -> np.ndarray:
    history = _train(model, rows, _schedule(shape.checked, batch), at_once, device, logging_steps=1)
    return np.array([entry["loss"] for entry in history if "loss" in entry])


def _train(
    model: nn.Module, rows: _Rows, schedule: Schedule, at_once: int, device: torch.device, **more: object
) -> list[dict[str, float]]:
    """Train by transformers' Trainer with our optimiser's AdamW and rates; the rows in their order."""
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=schedule.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, schedule))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=schedule.batch // at_once,
            max_steps=schedule.steps,
            train_sampling_strategy="sequential",
            bf16=has_bf16(device),
            use_cpu=device.type == "cpu",
            save_strategy="no",
            logging_strategy="steps" if more else "no",
            report_to="none",
            disable_tqdm=True,
            **more,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, optimizers=(optimiser, rates))
        trainer.train()
    return trainer.state.log_history


def _schedule(steps: int, batch: int) -> Schedule:
    return Schedule(steps=steps, batch=batch, learning_rate=RATE)


def _dtype(device: torch.device) -> str:
    return "bfloat16 on float32 weights" if has_bf16(device) else "float32"


def _rate(run: Callable[[], float], device: torch.device) -> float:
    run()
    started, done = time.perf_counter(), 0.0
    while (passed := time.perf_counter() - started) < 0.2:
        done += run()
        if device.type == "cuda":
            torch.cuda.synchronize()
    return done / passed
