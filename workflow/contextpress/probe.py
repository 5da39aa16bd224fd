"""The plan of a study's probe: questions to memories of held-out records. Beside `plan`, from which it is made."""

from __future__ import annotations

from collections.abc import Sequence

from contextpress.analysis.spec import AskedArm, ProbeSpec
from contextpress.corpus.spec import DomainSpec
from contextpress.mitigations import Cell
from contextpress.plan import Plan
from contextpress.tokens.spec import ProbeSize, QuestionsSpec


class Probe:
    """What the probe asks, of a plan whose study has one."""

    def __init__(self, plan: Plan, domain: str, cells: Sequence[Cell] = ()) -> None:
        """``domain`` is the one that the study's section names; of ``cells`` those of an arm are asked too."""
        self.plan, self.domain = plan, domain
        self.helped = [cell for cell in cells if cell.arm]

    @property
    def compressors(self) -> list[str]:
        """All that are asked, by name: the study's own, then those of arms."""
        return [*self.plan.jobs, *(cell.compressor.name for cell in self.helped)]

    def questions(self) -> DomainSpec:
        """Spec of the questions about held-out records: that of their domain."""
        return self.plan.domain(self.domain)

    def passages(self) -> QuestionsSpec:
        """Spec of the probe's passages and of what is asked of them."""
        study = self.plan.study
        size = study.probe.model_dump(include=set(ProbeSize.model_fields))
        return QuestionsSpec(domain=self.domain, window=study.tokens.passages.window, **size)

    def analysis(self) -> ProbeSpec:
        """Spec of the table and the finding."""
        return ProbeSpec(
            compressors=self.plan.observations().compressors,
            arms=tuple(
                AskedArm(
                    arm=cell.arm,
                    encoder=cell.job.encoder.config.name,
                    decoder=cell.job.decoder.config.name,
                    readout=cell.compressor.architecture.readout,
                    ratio=cell.compressor.architecture.ratio,
                    decoder_training=cell.compressor.architecture.decoder_training,
                    seed=cell.job.seed,
                )
                for cell in self.helped
            ),
            claims=self.plan.study.analysis.claims,
        )
