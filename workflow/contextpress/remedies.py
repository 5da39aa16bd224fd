"""The jobs that some arms have of their own: merged and infused encoders, and a stage on the decoder's mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from contextpress.analysis.spec import DoseOfCell, InfusionAnalysis
from contextpress.arms import LONGER
from contextpress.compressor.spec import DebiasSpec
from contextpress.flops import matrices
from contextpress.jobs import Model
from contextpress.lm.spec import InfusionSpec, MergeSpec
from contextpress.mitigations import Cell, Mitigations
from contextpress.reconstruction.spec import MistakesSpec


@dataclass(frozen=True)
class Infusion:
    """An encoder whose pretraining goes on.

    Attributes:
        start: the model as it was pretrained.
        other: the mixture that it is given: the decoder's.
        spec: of the training.
    """

    start: Model
    other: str
    spec: InfusionSpec


class Remedies:
    """These jobs, by the names of what they make; none where no arm of that kind is tried."""

    def __init__(self, arms: Mitigations) -> None:
        """Take the arms of a study."""
        self.arms, self.plan, self.config = arms, arms.plan, arms.config
        self._cells = [(cell, arms.arms[cell.arm]) for cell in arms.cells if cell.arm]

    @cached_property
    def merged(self) -> dict[str, MergeSpec]:
        """Encoders that are merged with their decoder."""
        return {
            cell.compressor.encoder: MergeSpec(
                name=cell.compressor.encoder, models=(cell.job.encoder.name, cell.job.decoder.name), rule=arm.merge
            )
            for cell, arm in self._cells
            if arm.merge
        }

    @cached_property
    def infused(self) -> dict[str, Infusion]:
        """Encoders that are given some of their decoder's corpus."""
        found = {}
        lm = self.plan.study.lm
        for cell, arm in self._cells:
            if arm.dose:
                start, name = self.arms.model(cell.arm, cell.job, "encoder"), cell.compressor.encoder
                rate = self.config.infusion.learning_rate
                schedule = lm.pretraining.schedule.model_copy(update={"steps": arm.dose.steps, "learning_rate": rate})
                spec = InfusionSpec(
                    name=name,
                    share=arm.dose.share,
                    pretraining=lm.pretraining.model_copy(update={"schedule": schedule}),
                    groups=lm.groups,
                    seed=start.seed,
                )
                found[name] = Infusion(start, cell.job.decoder.data, spec)
        return found

    # -- mistakes

    def mistakes(self, compressor: str) -> MistakesSpec:
        """Spec of what the decoder writes of training passages, before a compressor is trained on that."""
        spec = self.arms.starts[compressor]
        return MistakesSpec(
            batch=self.plan.study.reconstruction.batch,
            passages=self.config.debias.passages,
            domains=spec.domains,
            window=spec.window,
            seed=spec.seed,
        )

    def debias(self, compressor: str) -> DebiasSpec:
        """Spec of the training on mistakes."""
        spec = self.arms.starts[compressor]
        return DebiasSpec(**self.config.debias.model_dump(), name=compressor, seed=spec.seed)

    # -- analysis

    @cached_property
    def dosed(self) -> list[Cell]:
        """The compressors of the curves over doses: of each mismatched pair and size without any, and with each."""
        sizes = {arm.larger for _, arm in self._cells if arm.dose}
        without = {LONGER: None, "larger_encoder": "encoder"}
        return [
            cell
            for cell, arm in self._cells
            if arm.dose
            or (cell.arm in without and without[cell.arm] in sizes and cell.job.encoder.data != cell.job.decoder.data)
        ]

    def infusion(self) -> InfusionAnalysis:
        """Spec of the curves, in the order of ``dosed``."""
        doses = []
        for cell in self.dosed:
            shape, made = cell.shapes[0], self.infused.get(cell.compressor.encoder)
            doses.append(
                DoseOfCell(
                    size=shape.name,
                    weights=shape.layers * sum(m * n for m, n in matrices(shape)),
                    dose=int(cell.arm.rpartition("_")[2]) if made else 0,
                    share=made.spec.share if made else 0.0,
                    steps=made.spec.pretraining.schedule.steps if made else 0,
                    tokens=made.spec.infused_rows * made.spec.pretraining.row if made else 0,
                )
            )
        mixtures = {model for pair in self.plan.mitigated for model in (pair.encoder, pair.decoder)}
        data = {model.name: str(model.pretrain) for model in self.plan.study.lm.models}
        return InfusionAnalysis(
            arms=self.arms.arms_table(self.dosed),
            doses=tuple(doses),
            mixtures={name: self.plan.mixture(data[name]).weights for name in sorted(mixtures)},
            tolerance=self.config.infusion.tolerance,
        )
