"""The configuration of a study: every key, its default, what is allowed, and what must hold between keys.

The defaults are the default study; config/config.yaml is this module written out, and each preset names only what it
changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.practice import BudgetRules, GuidelineRules
from contextpress.analysis.spec import Calibration, MemoryTest, Specification
from contextpress.arms import MitigationConfig
from contextpress.compressor.spec import (
    ConnectorName,
    Curriculum,
    DecoderTraining,
    EncoderTraining,
    LowRank,
    ObjectiveName,
    ReadOutName,
    per_vector,
)
from contextpress.corpus.spec import Arithmetic, Asking, CorpusSpec, Domains, Embedded
from contextpress.entropy.spec import EntropyConfig
from contextpress.figures.spec import FiguresConfig
from contextpress.lm.spec import CopyWarmup, Pretraining, Shape
from contextpress.reconstruction.spec import CrammingConfig, ReconstructionSpec
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.spec import NAME_LENGTH, Number, Spec, Whole, distinct
from contextpress.tokens.spec import PassagesSpec, ProbeConfig, TokenizerSpec

MixtureName = Literal["D1", "D2", "D3", "D4", "D5", "D6", "random"]
MODEL_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
# Names that results, logs or benchmarks beside those of studies, domains and models have.
TAKEN = {
    "study": ("bundles", "calibration", "chaos"),
    "corpus.domains": ("harvest", "manifest"),
    "lm.models": ("gap", "model_free", "perplexity"),
}


def _list_of(kind: object) -> object:
    return Annotated[tuple[kind, ...], Field(min_length=1), AfterValidator(distinct)]  # type: ignore[valid-type]


class CorpusConfig(CorpusSpec):
    """Where the text comes from."""

    domains: Domains = Field(
        (
            Embedded(name="prose"),
            Embedded(name="apiref"),
            Embedded(name="code"),
            Embedded(name="examples"),
            Embedded(name="tables"),
            Arithmetic(name="arithmetic"),
        ),
        min_length=1,
        description="every kind of text of the study; each gives passages to compress",
    )
    natural: tuple[str, ...] = Field(
        ("prose",), min_length=1, description="domains that make up D1; the paper has Common Crawl"
    )
    formal: tuple[str, ...] = Field(
        ("code", "examples", "arithmetic"),
        min_length=1,
        description="domains that replace 1/6 .. 5/6 of it in D2 .. D6, in equal shares; the paper has GitHub, ArXiv "
        "and DM Mathematics, in a mix that it does not state",
    )
    mixture_tokens: Whole = Field(
        800_000, gt=0, description="size of each of D1 .. D6 in tokens of the study's tokenizer; the paper has 50B"
    )
    characters: Whole = Field(
        4_000_000,
        ge=10_000,
        description="Cap on the text kept per domain, in characters; the embedded corpus can give most domains six "
        "million. Four are enough for mixture_tokens, and are cut in half the time.",
    )


class TokensConfig(Spec):
    """How text becomes tokens and passages."""

    tokenizer: TokenizerSpec = TokenizerSpec()
    passages: PassagesSpec = PassagesSpec()


class ModelConfig(Spec):
    """One language model: pretrained here from scratch, or loaded."""

    name: str = Field(pattern=MODEL_NAME, max_length=NAME_LENGTH, description="how encoders and decoders refer to it")
    pretrain: MixtureName | None = Field(
        None, description="mixture to pretrain on: D1 .. D6; or random: uniform random tokens, as a control"
    )
    shape: str = Field("base", description="one of lm.shapes, for a model that is pretrained")
    load: str | None = Field(None, min_length=1, description="folder or hub id of a causal LM to load instead")
    revision: str | None = Field(None, min_length=1, description="its revision on the hub")
    tokenizer: Literal["study", "own"] = Field(
        "study",
        description="what it reads: study (tokens.tokenizer, which must be its own too), or own (the tokenizer that "
        "comes with it; the same passages are read in its tokens)",
    )
    window: Whole | None = Field(
        None,
        gt=0,
        description="with tokenizer own: most of its tokens in a passage, to which it fills passages up as an encoder; "
        "empty: half as many again as tokens.passages.window (ours). Too small, it is refused with the number needed",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.pretrain is None) == (self.load is None):
            raise ValueError(f"model {self.name} must have exactly one of pretrain (D1 .. D6) and load (a path or id)")
        if self.revision is not None and self.load is None:
            raise ValueError(f"model {self.name} has a revision, which is that of a model to load, but is pretrained")
        if self.tokenizer == "own" and self.load is None:
            raise ValueError(
                f"model {self.name} has tokenizer own, which is that of a model to load, but is pretrained"
            )
        if self.window is not None and self.tokenizer == "study":
            raise ValueError(
                f"model {self.name} has a window, which is for tokenizer own, but reads the study's tokens"
            )
        return self

    def own_window(self, window: int) -> int | None:
        """Most of its own tokens in a passage of ``window`` tokens of the study; None if it reads those."""
        return None if self.tokenizer == "study" else self.window or -(-3 * window // 2)


class LanguageModelsConfig(Spec):
    """The language models of the study."""

    shapes: _list_of(Shape) = Field((Shape(),), description="sizes of models pretrained here")  # type: ignore[valid-type]
    models: tuple[ModelConfig, ...] = Field(
        tuple(ModelConfig(name=name, pretrain=name) for name in ("D1", "D4", "D6")),
        min_length=1,
        description="every model that serves as encoder or decoder",
    )
    groups: _list_of(Annotated[Whole, Field(gt=0)]) = Field(  # type: ignore[valid-type]
        (1, 2, 4),
        description="tokens per vector when a text is shown to a model that is pretrained here, before it restates it. "
        "1 is plain text; n is the sum of n embeddings, each turned by its place (see lm/rows.py). It teaches models "
        "to take several tokens out of one vector (ours); each entry divides the largest",
    )
    warmup: CopyWarmup = CopyWarmup()
    pretraining: Pretraining = Pretraining()

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        largest = max(self.groups)
        for group in self.groups:
            if largest % group:
                raise ValueError(f"groups has {group}, which does not divide its largest entry, {largest}")
        if largest > min(self.warmup.longest, self.pretraining.row // 2):
            raise ValueError(
                f"groups has {largest}, more than warmup.longest ({self.warmup.longest}) or half of pretraining.row "
                f"({self.pretraining.row})"
            )
        for shape in self.shapes:
            if shape.width % largest:
                raise ValueError(f"groups has {largest}, which does not divide the width of shape {shape.name}")
        return self


class CompressorConfig(Spec):
    """Which pairs are trained, and how."""

    encoders: _list_of(str) = Field(("D1", "D4", "D6"), description="models that compress")  # type: ignore[valid-type]
    decoders: _list_of(str) = Field(  # type: ignore[valid-type]
        ("D1", "D4", "D6"), description="models that reconstruct; every encoder is paired with every decoder"
    )
    readouts: _list_of(ReadOutName) = Field(  # type: ignore[valid-type]
        ("mean_pool",),
        description="memory_tokens (at the end of the passage, as ICAE), interleaved (one after each group), mean_pool "
        "(the mean of each group), kv_prefix (interleaved, handed on as each layer's keys and values)",
    )
    ratios: _list_of(Annotated[Whole, Field(gt=0)]) = Field(  # type: ignore[valid-type]
        (2, 4), description="tokens of a passage per memory vector; each divides tokens.passages.window"
    )
    connector: ConnectorName = Field(
        "mlp",
        description="from encoder to decoder width: linear, mlp (two layers), deep (four), alignment (a matrix and a "
        "copy of the decoder's first block; with mean_pool this is GMSA). Read-out kv_prefix has its own: a matrix for "
        "each layer",
    )
    encoder_training: EncoderTraining = Field("full", description="full, lora")
    decoder_training: DecoderTraining = Field("frozen", description="frozen (as in claim C2), lora, full")
    lora: LowRank = Field(LowRank(), description="for the parts that are trained by LoRA")
    objective: ObjectiveName = Field(
        "autoencoding",
        description="autoencoding (restate the passage, as the paper), autoencoding_continuation (and continue it, as "
        "ICAE; needs training documents of two windows)",
    )
    continuation_weight: Number = Field(
        0.5, ge=0, le=1, description="of the continuation in that loss, restating has the rest (ours)"
    )
    schedule: Schedule = Field(
        Schedule(steps=140, batch=32, learning_rate=4e-3),
        description="optimisation of every compressor. On held-out prose 140 steps give the pairs of D1 a token "
        "accuracy of 0.95 at ratio 2, 0.67 at 4",
    )
    curriculum: Curriculum = Curriculum()
    domains: dict[str, Annotated[Number, Field(gt=0)]] | None = Field(
        None, description="weights of the domains in the training passages; empty: all domains alike"
    )

    @model_validator(mode="after")
    def _blocks_can_be_divided(self) -> Self:
        # Torch puts a divided block together again for its backward pass when the gradient of its output comes. Keys
        # and values are taken out of the middle of a block: their gradients would find its weights gone.
        if "kv_prefix" in self.readouts and self.schedule.sharding == "full":
            raise ValueError("readouts has kv_prefix, which cannot be trained with schedule.sharding full; choose none")
        return self


class ReconstructionConfig(ReconstructionSpec):
    """How passages are reconstructed."""

    cramming: CrammingConfig = CrammingConfig()


class AnalysisConfig(Spec):
    """What is tested, declared before the run."""

    claims: ClaimsSpec = ClaimsSpec()
    memory_test: MemoryTest = MemoryTest()
    specification: Specification = Specification()
    calibration: Calibration = Calibration()
    budget: BudgetRules = BudgetRules()
    guidelines: GuidelineRules = GuidelineRules()


class Study(Spec):
    """A whole study."""

    study: str = Field(
        "default",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        max_length=NAME_LENGTH,
        description="name of the study and of its folder in results/",
    )
    seeds: _list_of(Annotated[Whole, Field(ge=0, lt=10_000)]) = Field(  # type: ignore[valid-type]
        (0, 1, 2),
        description="each seed repeats the study with newly trained models. The encoder of seed 0, 1, 2 is language "
        "model 0, 1, 2, the decoder is language model 1, 2, 0 (and so on in threes), so that the two never share "
        "weights, not even in a matched pair",
    )
    gpus: Whole = Field(
        0,
        ge=0,
        le=1,
        description="GPUs that each job with a model in it asks for, 0 or 1: a cluster gives it no other. On a single "
        "machine jobs use a GPU unasked; with 1, and `--resources gpu=1` for Snakemake, one at a time. Reruns nothing",
    )
    corpus: CorpusConfig = CorpusConfig()
    tokens: TokensConfig = TokensConfig()
    lm: LanguageModelsConfig = LanguageModelsConfig()
    entropy: EntropyConfig = EntropyConfig()
    compressor: CompressorConfig = CompressorConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    mitigation: MitigationConfig = MitigationConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    figures: FiguresConfig = FiguresConfig()
    probe: ProbeConfig = ProbeConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        domains = [domain.name for domain in self.corpus.domains]
        models = [model.name for model in self.lm.models]
        for key, names in (("study", [self.study]), ("corpus.domains", domains), ("lm.models", models)):
            for name in names:
                if name.lower() in TAKEN[key]:
                    raise ValueError(
                        f"{key} has {name}, which names files of the workflow itself; not allowed: "
                        f"{', '.join(TAKEN[key])}"
                    )
        for key, names in (("lm.models", models), ("lm.shapes", [shape.name for shape in self.lm.shapes])):
            seen: dict[str, str] = {}
            for name in names:
                if name in seen.values():
                    raise ValueError(f"{key} has {name} twice: names must differ")
                if name.lower() in seen:
                    raise ValueError(
                        f"{key} has {seen[name.lower()]} and {name}: names must differ in more than case, for they "
                        "name folders"
                    )
                seen[name.lower()] = name
        return self

    @model_validator(mode="after")
    def _names_are_defined(self) -> Self:
        domains = [domain.name for domain in self.corpus.domains]
        models = [model.name for model in self.lm.models]
        shapes = [shape.name for shape in self.lm.shapes]
        _known("corpus.natural", self.corpus.natural, "domain", domains)
        _known("corpus.formal", self.corpus.formal, "domain", domains)
        _known("compressor.domains", self.compressor.domains or (), "domain", domains)
        _known("compressor.encoders", self.compressor.encoders, "model", models)
        _known("compressor.decoders", self.compressor.decoders, "model", models)
        _known("lm.models.shape", (model.shape for model in self.lm.models if model.pretrain), "shape", shapes)
        return self

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.probe.domain is None:
            return self
        asking = {domain.name for domain in self.corpus.domains if isinstance(domain, Asking)}
        if self.probe.domain not in asking:
            raise ValueError(
                f"probe.domain is {self.probe.domain}, which is no domain of kind products or questions; there are "
                f"{', '.join(sorted(asking)) or 'none'}"
            )
        if self.probe.domain in (*self.corpus.natural, *self.corpus.formal):
            raise ValueError(
                f"probe.domain is {self.probe.domain}, which may not be in corpus.natural or corpus.formal: "
                "probe.share says how much of it every model reads"
            )
        used = {*self.compressor.encoders, *self.compressor.decoders}
        for model in self.lm.models:
            if model.name in used and model.tokenizer == "own":
                raise ValueError(f"probe asks in the study's tokens, but model {model.name} has tokenizer own")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        window, row = self.tokens.passages.window, self.lm.pretraining.row
        vectors = self.reconstruction.cramming.vectors
        for key, numbers in (
            ("compressor.ratios", self.compressor.ratios),
            ("reconstruction.cramming.vectors", vectors),
        ):
            for number in numbers:
                if window % number:
                    raise ValueError(
                        f"{key} has {number}, which does not divide tokens.passages.window ({window}); "
                        f"allowed: {', '.join(str(n) for n in range(1, window + 1) if window % n == 0)}"
                    )
        needed = max(self.positions(), row + 2, 2 * self.lm.warmup.longest + 2)
        used = {model.shape for model in self.lm.models if model.pretrain} | {self.mitigation.larger_shape}
        for shape in self.lm.shapes:
            if shape.name in used and shape.context < needed:
                raise ValueError(
                    f"lm.shapes {shape.name} has a context of {shape.context}, but tokens.passages.window {window}, "
                    f"memory and marks, lm.pretraining.row {row}, or twice lm.warmup.longest, need {needed}"
                )
        return self

    def positions(self, own: int | None = None) -> int:
        """Longest input of encoder and decoder: a passage, its memory, <bos> and <restate>.

        ``own`` is the window of a model with a tokenizer of its own.
        """
        window, ratios = self.tokens.passages.window, self.compressor.ratios
        vectors = max(window // min(ratios), *self.reconstruction.cramming.vectors)
        text = window if own is None else max(window // ratio * per_vector(ratio, window, own) for ratio in ratios)
        return text + vectors + 2

    @model_validator(mode="after")
    def _one_tokenizer(self) -> Self:
        loads = self.tokens.tokenizer.load is not None
        for model in self.lm.models:
            if loads and model.pretrain:
                raise ValueError(
                    f"model {model.name} is to be pretrained, but tokens.tokenizer.load names a foreign tokenizer, "
                    "which lacks the <restate> token; load the model too, or drop tokens.tokenizer.load"
                )
            if not loads and model.load and model.tokenizer == "study":
                raise ValueError(
                    f"model {model.name} is loaded, so tokens.tokenizer.load must name its tokenizer ({model.load}); "
                    "or set its tokenizer to own"
                )
            if model.tokenizer == "own" and self.compressor.objective != "autoencoding":
                raise ValueError(
                    f"model {model.name} has tokenizer own, for which compressor.objective must be autoencoding: what "
                    "follows a passage is known in the study's tokens only"
                )
        return self

    @model_validator(mode="after")
    def _entropies_can_be_compared(self) -> Self:
        own = {model.name for model in self.lm.models if model.tokenizer == "own"}
        kinds = {name if name in own else None for name in self.compressor.decoders}
        predictor = self.analysis.claims.c2.predictor
        if len(kinds) > 1 and predictor != "decoder_bits_per_byte":
            raise ValueError(
                f"compressor.decoders have several tokenizers, so analysis.claims.c2.predictor must be "
                f"decoder_bits_per_byte: {predictor}, in nats per token, cannot be compared between them"
            )
        return self


def _known(key: str, names: Iterable[str], kind: str, defined: list[str]) -> None:
    for name in names:
        if name not in defined:
            raise ValueError(f"{key} names {name!r}, which is not a defined {kind}; defined: {', '.join(defined)}")
