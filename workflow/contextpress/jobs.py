"""From the configuration of a study to its jobs: which there are, what each is called, and the spec of each.

Of texts, models and compressors here; plan.py adds what is made of their measures. Nothing in these modules or below
them imports torch or pandas, so that a dry run answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from contextpress.arms import MismatchedPair
from contextpress.compressor.spec import Architecture, CompressorSpec, ReadOutName
from contextpress.corpus.local import local_paths, question_path
from contextpress.corpus.mixtures import RANDOM, mixture_weights, replaced
from contextpress.corpus.spec import (
    Domain,
    DomainSpec,
    Embedded,
    Grammar,
    HarvestSpec,
    LocalFiles,
    Markov,
    QuestionFile,
    UniformWords,
    domain_spec,
    harvest_spec,
)
from contextpress.entropy.spec import GapSpec, Pair, ScoreSpec
from contextpress.latency.spec import LatencySpec
from contextpress.lm.spec import LoadSpec, PretrainSpec, Shape, WarmupSpec
from contextpress.reconstruction.spec import CrammingSpec, ReconstructionSpec
from contextpress.runtime.errors import UserError
from contextpress.runtime.spec import Spec
from contextpress.study import CompressorConfig, ModelConfig, Study
from contextpress.tokens.spec import MixtureSpec, OwnTokensSpec, TokenizerSpec


class Model(Spec):
    """A language model as an artefact: one of the config's models, of one seed if it is pretrained here."""

    config: ModelConfig
    seed: int | None

    @property
    def name(self) -> str:
        """Its folder: D1-s0, or for a loaded model its name alone."""
        return self.config.name if self.seed is None else f"{self.config.name}-s{self.seed}"

    @property
    def data(self) -> str:
        """What it was pretrained on: a mixture, or for a loaded model its own name."""
        return self.config.pretrain or self.config.name

    @property
    def replaced(self) -> float | None:
        """Share of natural text that is replaced in its data; None where there is no such text."""
        return None if self.config.pretrain in (None, RANDOM) else float(replaced(self.config.pretrain))


class Job(Spec):
    """One compressor to train and to evaluate."""

    encoder: Model
    decoder: Model
    readout: ReadOutName
    ratio: int
    seed: int

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.encoder.config.name}-{self.decoder.config.name}-{self.readout}-r{self.ratio}-s{self.seed}"


class Jobs:
    """What of a study is made before anything is analysed."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check ``config``.

        Raises:
            UserError: naming the first key that is wrong, its value and what is allowed.
        """
        self.study = Study.read(config)
        self._models = {model.name: model for model in self.study.lm.models}
        self._shapes = {shape.name: shape for shape in self.study.lm.shapes}
        self.domains: dict[str, Domain] = {domain.name: domain for domain in self.study.corpus.domains}

    def check(self) -> Self:
        """Ask for what rules ask for only later, where an error is told less plainly.

        Raises:
            UserError: if a domain's files are not there, or a mixture cannot be made of the domains.
        """
        for domain in self.domains:
            self.files(domain)
        for model in self.models.values():
            if model.config.pretrain:
                self.mixture(model.config.pretrain)
        return self

    # -- corpus and tokens

    @cached_property
    def harvest(self) -> HarvestSpec | None:
        """What to cut from the installed packages; None if no domain comes from there."""
        return harvest_spec(self.study.corpus.domains, self.study.corpus)

    def domain(self, name: str) -> DomainSpec:
        """Spec of one domain's documents."""
        return domain_spec(self.domains[name], self.study.corpus)

    def is_embedded(self, name: str) -> bool:
        """Whether a domain is cut from the installed packages."""
        return isinstance(self.domains[name], Embedded)

    @property
    def sets_entropy(self) -> bool:
        """Whether some text is generated at an entropy rate that is known in closed form."""
        return any(isinstance(domain, Markov | Grammar | UniformWords) for domain in self.domains.values())

    def files(self, name: str) -> list[str]:
        """The user's own files that a domain reads, as inputs: an edit to one reruns what follows from it.

        Raises:
            UserError: if there is none, or one that cannot be an input.
        """
        domain = self.domains[name]
        found: list[str] = []
        if isinstance(domain, LocalFiles):
            found = [str(path) for path in local_paths(domain)]
        elif isinstance(domain, QuestionFile):
            found = [str(question_path(domain))]
        for path in found:
            if "{" in path or "}" in path:
                raise UserError(f"domain {name}: {path} has a brace, which Snakemake takes for a wildcard; rename it")
        return found

    def mixture(self, name: str) -> MixtureSpec:
        """Spec of one of D1 .. D6."""
        corpus = self.study.corpus
        weights = {} if name == RANDOM else mixture_weights(name, corpus.natural, corpus.formal)
        probe = self.study.probe
        if weights and probe.domain:
            weights = {domain: weight * (1 - probe.share) for domain, weight in weights.items()}
            weights[probe.domain] = probe.share
        return MixtureSpec(name=name, weights=weights, tokens=corpus.mixture_tokens, row=self.study.lm.pretraining.row)

    # -- language models

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """All compressors by name: seeds x read-outs x ratios x encoders x decoders."""
        chosen = self.study.compressor
        jobs = [
            Job(
                encoder=self._model(encoder, seed),
                decoder=self._model(decoder, _next_of_three(seed)),
                readout=readout,
                ratio=ratio,
                seed=seed,
            )
            for seed in self.study.seeds
            for readout in chosen.readouts
            for ratio in chosen.ratios
            for encoder in chosen.encoders
            for decoder in chosen.decoders
        ]
        return {job.name: job for job in jobs}

    @cached_property
    def models(self) -> dict[str, Model]:
        """All language models that some compressor uses, by name."""
        used = [model for job in self.jobs.values() for model in (job.encoder, job.decoder)]
        return {model.name: model for model in sorted(used, key=lambda model: model.name)}

    @cached_property
    def mitigated(self) -> tuple[MismatchedPair, ...]:
        """The mismatched pairs that are helped: those that the config names, or else the one furthest apart, if any."""
        named, chosen = self.study.mitigation.pairs, self.study.compressor
        if named is not None:
            return named
        plain = chosen.objective == "autoencoding" and chosen.decoder_training == "frozen"
        if not plain or chosen.readouts[0] == "kv_prefix":
            return ()
        apart: dict[MismatchedPair, float] = {}
        for job in self.jobs.values():
            one, two = job.encoder, job.decoder
            distance = _distance(one.replaced, two.replaced)
            alike = one.config.shape == two.config.shape and two.config.name in chosen.encoders
            if distance and alike and job.ratio == self.study.mitigation.ratio:
                apart[MismatchedPair(encoder=one.config.name, decoder=two.config.name)] = distance
        return (max(apart, key=apart.__getitem__),) if apart else ()

    def shape(self, model: str) -> Shape:
        """Size of a model that is pretrained here."""
        return self._shapes[self.models[model].config.shape]

    def warmup(self, shape: str) -> WarmupSpec:
        """Spec of the warm-up that all models of a shape start from."""
        return WarmupSpec(shape=self._shapes[shape], warmup=self.study.lm.warmup, groups=self.study.lm.groups)

    def pretrain(self, model: Model) -> PretrainSpec:
        """Spec of a model from scratch."""
        if model.seed is None:
            raise ValueError(f"{model.name} is loaded, not pretrained")
        lm = self.study.lm
        return PretrainSpec(name=model.name, pretraining=lm.pretraining, groups=lm.groups, seed=model.seed)

    def load(self, model: str) -> LoadSpec:
        """Spec of a model that is loaded."""
        config = self.models[model].config
        if config.load is None:
            raise ValueError(f"{model} is pretrained, not loaded")
        positions = self.study.positions(self.own.get(model))
        return LoadSpec(name=model, path=config.load, revision=config.revision, positions=positions)

    @cached_property
    def own(self) -> dict[str, int]:
        """The models that have a tokenizer of their own, by name, and the most of its tokens in a passage."""
        window = self.study.tokens.passages.window
        found = {name: model.config.own_window(window) for name, model in self.models.items()}
        return {name: own for name, own in found.items() if own is not None}

    def own_tokenizer(self, model: str) -> TokenizerSpec:
        """Spec of the tokenizer of a model that has its own."""
        config = self.models[model].config
        return TokenizerSpec(load=config.load, revision=config.revision)

    def own_tokens(self, model: str) -> OwnTokensSpec:
        """Spec of the passages in the tokens of a model that has its own tokenizer."""
        return OwnTokensSpec(model=model, window=self.own[model])

    # -- entropy

    def score(self, model: str) -> ScoreSpec:
        """Spec of one model's scores."""
        return ScoreSpec(model=model, buckets=self.study.entropy.buckets)

    def gap(self) -> GapSpec:
        """Spec of the gap table: one pair for each encoder, decoder and seed."""
        pairs = {(job.encoder.name, job.decoder.name, job.seed): job for job in self.jobs.values()}
        return GapSpec(
            pairs=tuple(
                Pair(
                    encoder=job.encoder.config.name,
                    decoder=job.decoder.config.name,
                    seed=job.seed,
                    encoder_model=job.encoder.name,
                    decoder_model=job.decoder.name,
                    design_gap=_distance(job.encoder.replaced, job.decoder.replaced),
                )
                for job in pairs.values()
            )
        )

    # -- compressors

    def compressor(self, name: str) -> CompressorSpec:
        """Spec of one compressor."""
        job, chosen, unused = self.jobs[name], self.study.compressor, CompressorConfig()
        adapted = "lora" in (chosen.encoder_training, chosen.decoder_training)
        continued = chosen.objective == "autoencoding_continuation"
        return CompressorSpec(
            name=name,
            encoder=job.encoder.name,
            decoder=job.decoder.name,
            architecture=Architecture(
                readout=job.readout,
                ratio=job.ratio,
                connector=chosen.connector,
                encoder_training=chosen.encoder_training,
                decoder_training=chosen.decoder_training,
                lora=chosen.lora if adapted else unused.lora,
            ),
            objective=chosen.objective,
            continuation_weight=chosen.continuation_weight if continued else unused.continuation_weight,
            schedule=chosen.schedule,
            curriculum=chosen.curriculum,
            window=self.study.tokens.passages.window,
            domains=chosen.domains or dict.fromkeys(self.domains, 1.0),
            seed=job.seed,
            encoder_window=self.own.get(job.encoder.name),
            decoder_window=self.own.get(job.decoder.name),
        )

    @cached_property
    def sizes(self) -> dict[str, str]:
        """One model of each size: the first of each shape, and every loaded model."""
        found: dict[str, str] = {}
        for name, model in self.models.items():
            found.setdefault(model.config.shape if model.config.pretrain else name, name)
        return found

    def latency(self) -> LatencySpec:
        """Spec of the table of latencies, in the order of ``sizes``."""
        chosen = self.study.compressor
        return LatencySpec(
            sizes=tuple(self.sizes),
            readout=chosen.readouts[0],
            connector=chosen.connector,
            ratios=chosen.ratios,
            window=self.study.tokens.passages.window,
            windows={size: self.own[model] for size, model in self.sizes.items() if model in self.own},
        )

    # -- reconstruction

    @cached_property
    def decoders(self) -> list[str]:
        """The language models that some compressor's memory is read by, by name."""
        return sorted({job.decoder.name for job in self.jobs.values()})

    def reconstruction(self) -> ReconstructionSpec:
        """Spec of the reconstructions of every compressor."""
        return ReconstructionSpec(batch=self.study.reconstruction.batch)

    def cramming(self, decoder: str) -> CrammingSpec:
        """Spec of the cramming bound of one decoder."""
        return CrammingSpec(decoder=decoder, **self.study.reconstruction.cramming.model_dump())

    def _model(self, name: str, seed: int) -> Model:
        config = self._models[name]
        return Model(config=config, seed=None if config.load else seed)


def _next_of_three(seed: int) -> int:
    """Turns 0, 1, 2 into 1, 2, 0, and so on in threes: it does not depend on which other seeds a study has."""
    return seed - seed % 3 + (seed + 1) % 3


def _distance(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)
