"""Decoding: exact greedy reconstruction, and memory crammed without an encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from benchmarks.harness import Side
from benchmarks.shapes import BOS, PAD, RESTATE, Shape, language_model, tokens
from contextpress.reconstruction.cramming import Crammed, Decoder, cram
from contextpress.reconstruction.greedy import reconstruct
from contextpress.reconstruction.metrics import teacher_forced
from contextpress.reconstruction.spec import CrammingConfig, ReconstructionSpec
from contextpress.runtime.device import attention_kernel

EMBEDDING = 20.0  # size of an embedding's entries: next to it what random blocks add is nothing
TOGETHER = ReconstructionSpec().batch  # passages decoded side by side, ours and theirs
ALONE = 4  # passages that a baseline takes in one timed run that does one after the other


def our_reconstructions(wrong: float, shape: Shape, device: torch.device, batch: int = TOGETHER) -> Side:
    """The reconstruction room's greedy decoding, which guesses by the passage."""
    model, prefix, passages = _written(shape, device, attention_kernel(device), wrong)

    def write() -> Tensor:
        done = reconstruct(model, prefix, passages, batch=batch)
        accuracies.append(float(done.accuracy.mean()))
        return done.ids

    accuracies: list[float] = []
    answer = write()
    said = float((answer == passages).float().mean())
    note = f"token accuracy {said:.2f} in free generation, {accuracies[0]:.2f} teacher-forced"
    return Side(lambda: write().numel(), answer.cpu().numpy(), note=note)


def generate(wrong: float, scored: bool, shape: Shape, device: torch.device, together: int = TOGETHER) -> Side:
    """transformers' generate: a batch, a cache of keys and values, one token per pass.

    ``scored``: and the teacher-forced pass that gives nll and accuracy, which ours gives too. ``together``: passages
    in a batch; where it is one, a few passages are enough to time.
    """
    model, prefix, passages = _written(shape, device, "sdpa", wrong)
    if together == 1:
        prefix, passages = prefix[:ALONE], passages[:ALONE]
    length = passages.shape[1]

    def write() -> Tensor:
        parts = [
            model.generate(
                inputs_embeds=part,
                attention_mask=torch.ones(part.shape[:2], dtype=torch.long, device=device),
                max_new_tokens=length,
                do_sample=False,
                use_cache=True,
                pad_token_id=PAD,
            )
            for part in prefix.split(together)
        ]
        if scored:
            for part, text in zip(prefix.split(together), passages.split(together), strict=True):
                read = torch.cat([part, model.get_input_embeddings()(text[:, :-1])], dim=1)
                teacher_forced(model(inputs_embeds=read, logits_to_keep=length).logits, text)
        return torch.cat(parts)

    with torch.no_grad():
        return Side(torch.no_grad()(lambda: write().numel()), write().cpu().numpy())


def our_cramming(shape: Shape, device: torch.device) -> Side:
    """The reconstruction room's cramming, of passages side by side."""
    decoder, passages = _reader(shape, device)

    def run() -> Crammed:
        return cram(decoder, passages, 1, _cramming(shape, len(passages)))

    told = run().nats.double().cpu().numpy()
    return Side(lambda: len(run().nats), told)


def cramming_alone(shape: Shape, device: torch.device) -> Side:
    """The same of one passage after the other."""
    decoder, passages = _reader(shape, device)

    def run() -> Tensor:
        return torch.cat([cram(decoder, one, 1, _cramming(shape, 1)).nats for one in passages[:ALONE].split(1)])

    return Side(lambda: len(run()), run().double().cpu().numpy())


def _written(
    shape: Shape, device: torch.device, attention: str, wrong: float
) -> tuple[LlamaForCausalLM, Tensor, Tensor]:
    """A model whose greedy text is known, prefixes, and passages that differ from that text in a share of the tokens.

    Training a model of 152,000 words to restate takes too long here, and what tokens are wrong is all that time
    depends on. So the model is made to follow every token by a set one: its embeddings are large, so that the last
    state points to the last token's embedding, and the output matrix holds each embedding at the token that follows.
    All matrices are there and are multiplied.
    """
    model = language_model(shape, device, attention).eval()
    model.config.tie_word_embeddings = False
    generator = torch.Generator().manual_seed(0)
    ordinary = torch.arange(PAD + 1, shape.vocabulary)
    follower = torch.arange(shape.vocabulary)
    follower[ordinary] = ordinary[torch.randperm(len(ordinary), generator=generator)]
    table = model.get_input_embeddings().weight.data
    table.copy_(EMBEDDING * torch.randn(table.shape, generator=generator))
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(table))
    model.lm_head.weight.data[follower.to(device)] = table
    first = torch.randint(PAD + 1, shape.vocabulary, (shape.decoded,), generator=generator)
    text = [follower[first]]
    for _ in range(shape.window - 1):
        text.append(follower[text[-1]])
    passages = torch.stack(text, dim=1)
    other = torch.rand(passages.shape, generator=generator) < wrong
    passages = torch.where(other, tokens(shape, len(passages), shape.window, seed=1), passages).to(device)
    slots = shape.window // shape.ratio
    memory = EMBEDDING * torch.randn(shape.decoded, slots + 1, shape.width, generator=generator)
    prefix = torch.cat([memory.to(device), table[first.to(device)].unsqueeze(1)], dim=1)
    return model, prefix, passages


def _reader(shape: Shape, device: torch.device) -> tuple[Decoder, Tensor]:
    model = language_model(shape, device, attention_kernel(device)).eval().requires_grad_(requires_grad=False)
    decoder = Decoder(model, BOS, model.get_input_embeddings().weight[RESTATE])
    return decoder, tokens(shape, shape.crammed, shape.window).to(device)


def _cramming(shape: Shape, batch: int) -> CrammingConfig:
    return CrammingConfig(steps=shape.cram_steps, batch=batch)
