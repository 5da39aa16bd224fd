"""All jobs of a study, to the last page of its report.

The workflow's rules ask here and nowhere else.
"""

from __future__ import annotations

from contextpress.analysis.hypotheses import COUNTS, DRAW, ClaimsSpec, only, same_rules, without_verdicts
from contextpress.analysis.spec import (
    CalibrationChunk,
    CompressorDescription,
    CrammedDecoder,
    CrammingAnalysis,
    ObservationsSpec,
    PredictorSpec,
    RoleModel,
    SimulatedStudies,
    SpecificationSpec,
)
from contextpress.arms import MitigationConfig
from contextpress.figures.spec import (
    ClaimFigure,
    CompressorCurve,
    CrammingFigure,
    LearningCurvesFigure,
    MeasureFigure,
    ModelCurve,
    Sample,
    TableFigure,
)
from contextpress.jobs import Jobs
from contextpress.report.spec import CardsSpec, ConfigSpec, ExplorerSpec, Origin, SummarySpec


class Plan(Jobs):
    """The jobs, and what is made of their measures: analysis, figures and report."""

    def observations(self) -> ObservationsSpec:
        """Spec of the table of the study."""
        return ObservationsSpec(
            compressors=tuple(
                CompressorDescription(
                    encoder=job.encoder.config.name,
                    decoder=job.decoder.config.name,
                    encoder_model=job.encoder.name,
                    decoder_model=job.decoder.name,
                    readout=job.readout,
                    ratio=job.ratio,
                    seed=job.seed,
                    decoder_training=self.study.compressor.decoder_training,
                    encoder_replaced=job.encoder.replaced,
                    decoder_replaced=job.decoder.replaced,
                )
                for job in self.jobs.values()
            ),
            memory_test=self.study.analysis.memory_test,
        )

    def specification(self) -> SpecificationSpec:
        """Spec of the specification table."""
        analysis = self.study.analysis
        return SpecificationSpec(**analysis.specification.model_dump(), claims=without_verdicts(analysis.claims))

    def ladder(self) -> ClaimsSpec:
        """Spec of the table of the control ladder: every rung, without a verdict."""
        return only(self.study.analysis.claims, *DRAW)

    def calibration_chunk(self, name: str) -> CalibrationChunk:
        """Spec of some of the simulated studies."""
        calibration, claims = self.study.analysis.calibration, self.study.analysis.claims
        kind, first, count = calibration.chunks()[name]
        sizes = calibration.model_dump(include=set(SimulatedStudies.model_fields))
        rules = same_rules(claims, calibration.draws)
        return CalibrationChunk(**sizes, kind=kind, first=first, count=count, claims=rules)

    def table_figure(self) -> TableFigure:
        """Spec of the figures that show a table and nothing else."""
        return TableFigure(style=self.study.figures.style)

    def cramming_analysis(self) -> CrammingAnalysis:
        """Spec of the comparison of crammed memory with entropies and compressors."""
        read = {(job.decoder.config.name, job.seed): job.decoder.name for job in self.jobs.values()}
        return CrammingAnalysis(
            decoders=tuple(
                CrammedDecoder(decoder=name, seed=seed, model=model) for (name, seed), model in read.items()
            ),
            claims=only(self.study.analysis.claims, "variants", *DRAW, *COUNTS),
        )

    def predictor(self) -> PredictorSpec:
        """Spec of the predictor: of C1's measure, and beside it of the others that are given with the claims."""
        claims = self.study.analysis.claims
        roles = {
            (side, model.config.name, job.seed): RoleModel(
                side=side, name=model.config.name, seed=job.seed, model=model.name
            )
            for job in self.jobs.values()
            for side, model in (("encoder", job.encoder), ("decoder", job.decoder))
        }
        # One seed will do: what is predicted is one compressor's work.
        sample = only(claims, "variants", "natural_only", "cluster", "seed", "min_passages", "min_documents")
        return PredictorSpec(
            measures=tuple(dict.fromkeys([claims.c1.measure, *claims.also_measures])),
            roles=tuple(roles.values()),
            claims=sample.model_copy(update={"min_seeds": 1}),
        )

    def cramming_figure(self) -> CrammingFigure:
        """Spec of the figure of the cramming bound."""
        return CrammingFigure(style=self.study.figures.style)

    def measure_figure(self) -> MeasureFigure:
        """Spec of the figures that belong to no one claim."""
        figures = self.study.figures
        return MeasureFigure(measure=figures.measure, sample=self._sample(), style=figures.style)

    def claim_figure(self) -> ClaimFigure:
        """Spec of the figure of a claim."""
        return ClaimFigure(sample=self._sample(), style=self.study.figures.style)

    def learning_figure(self) -> LearningCurvesFigure:
        """Spec of the learning curves, in the order of ``jobs`` and of the pretrained among ``models``."""
        return LearningCurvesFigure(
            compressors=tuple(
                CompressorCurve(
                    encoder=job.encoder.config.name,
                    decoder=job.decoder.config.name,
                    ratio=job.ratio,
                    seed=job.seed,
                    matched=job.encoder.data == job.decoder.data,
                )
                for job in self.jobs.values()
            ),
            models=tuple(
                ModelCurve(model=model.config.name, seed=model.seed)
                for model in self.models.values()
                if model.seed is not None
            ),
            style=self.study.figures.style,
        )

    def summary(self) -> SummarySpec:
        """Spec of the summary."""
        return SummarySpec(study=self.study.study, domain=self.study.corpus.natural[0])

    def config(self) -> ConfigSpec:
        """Spec of the study's config: all keys that some result of the study depends on."""
        beside: dict[str, bool | set[str]] = {"gpus": True, "analysis": {"calibration"}}
        if not self.mitigated:
            beside["mitigation"] = set(MitigationConfig.model_fields) - {"pairs"}
        if not self.study.probe.domain:
            beside["probe"] = True
        return ConfigSpec(config=self.study.model_dump(mode="json", exclude=beside))

    def explorer(self) -> ExplorerSpec:
        """Spec of the explorer; its compressors are in the order of ``jobs``."""
        return ExplorerSpec(
            study=self.study.study,
            measure=self.study.figures.measure,
            compressors=self.observations().compressors,
        )

    def cards(self) -> CardsSpec:
        """Spec of the model cards, in the order of ``jobs``."""
        models = {}
        for name, model in self.models.items():
            mixture = model.config.pretrain
            shares = {part: float(weight) for part, weight in self.mixture(mixture).weights.items()} if mixture else {}
            models[name] = Origin(mixture=mixture, shares=shares, load=model.config.load)
        observed = self.observations()
        return CardsSpec(
            study=self.study.study,
            compressors=observed.compressors,
            models=models,
            memory_test=observed.memory_test,
        )

    def _sample(self) -> Sample:
        claims = self.study.analysis.claims
        return Sample(
            natural_only=claims.natural_only,
            cluster=claims.cluster,
            draws=self.study.figures.draws,
            seed=claims.seed,
        )
