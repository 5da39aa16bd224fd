"""What mitigation adds to a study: language models, compressors, and the table they come to.

Of each mismatched pair there is one compressor for every arm and seed. All arms of a pair spend the same FLOPs, those
of the study's own compressor of the pair and ``extra_compute`` of them more: what an arm spends on its own thing
leaves so many fewer steps for its compressor.

Arms that make another encoder, or go on with a trained compressor, are planned here as others are, at the cost of
``own_flops``; the jobs of their own are in remedies.py.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import Literal

from contextpress.analysis.hypotheses import COUNTS, DRAW, only
from contextpress.analysis.spec import ArmCell, ArmsSpec
from contextpress.arms import ARMS, LONGER, Arm
from contextpress.compressor.spec import CompressorSpec
from contextpress.flops import compressor_training, debiasing, language_model_step
from contextpress.jobs import Job, Model
from contextpress.lm.spec import Shape
from contextpress.plan import Plan
from contextpress.runtime.errors import UserError
from contextpress.runtime.spec import Spec
from contextpress.study import ModelConfig

Side = Literal["encoder", "decoder"]
SIDES: tuple[Side, ...] = ("encoder", "decoder")


class Cell(Spec):
    """One compressor of an arm: the matched or mismatched pair it is made of, and what becomes of it.

    Attributes:
        arm: name of the arm; empty for the study's own compressor, which has no help.
        job: the study's own compressor of the pair and seed.
        compressor: what is trained; its encoder and decoder are folders below lm/.
        shapes: of encoder and decoder.
        own: FLOPs that the arm spends on its own thing, outside the compressor's training.
    """

    arm: str
    job: Job
    compressor: CompressorSpec
    shapes: tuple[Shape, Shape]
    own: int = 0


class Mitigations:
    """All jobs that the arms add; none where no pairs are helped."""

    def __init__(self, plan: Plan) -> None:
        """Check that the arms fit the study.

        Raises:
            UserError: naming the key that does not.
        """
        self.plan, self.config = plan, plan.study.mitigation
        self.arms: dict[str, Arm] = self.config.tried() if plan.mitigated else {}
        self._shapes = {shape.name: shape for shape in plan.study.lm.shapes}
        self._models = {model.name: model for model in plan.study.lm.models}
        # The study's own compressors that the arms are held against, then those of every arm.
        self.cells: list[Cell] = []
        if plan.mitigated:
            self._check()
            self.cells = [cell for arm in ("", *self.arms) for cell in self._cells(arm)]

    # -- compressors

    @cached_property
    def compressors(self) -> dict[str, CompressorSpec]:
        """The compressors that are trained beside the study's own, by name."""
        trained = {cell.compressor.name: cell.compressor for cell in self.cells if cell.arm}
        return trained | {spec.name: spec for spec in self.starts.values()}

    @cached_property
    def starts(self) -> dict[str, CompressorSpec]:
        """The compressors that others begin at, by the name of the other."""
        found = [cell.compressor for cell in self.cells if cell.arm and self.arms[cell.arm].debiased]
        return {spec.name: spec.model_copy(update={"name": f"{spec.name}_start"}) for spec in found}

    def compressor(self, name: str) -> CompressorSpec:
        """Spec of any compressor, of the study or of an arm."""
        return self.compressors[name] if name in self.compressors else self.plan.compressor(name)

    # -- language models

    @cached_property
    def models(self) -> dict[str, Model]:
        """The language models that are pretrained beside the study's own, by name."""
        used = [self.model(cell.arm, cell.job, side) for cell in self.cells if cell.arm for side in SIDES]
        return {model.name: model for model in used if model.name not in self.plan.models}

    def encoder_of(self, arm: str, job: Job) -> str:
        """Folder below lm/ of the encoder of an arm's compressor."""
        encoder, chosen = self.model(arm, job, "encoder"), self.arms[arm]
        if chosen.merge:
            return f"{encoder.name}-{job.decoder.name}-{chosen.merge}"
        return f"{encoder.name}-{job.decoder.data}-{arm}" if chosen.dose else encoder.name

    def _own_flops(self, arm: str, spec: CompressorSpec, shapes: tuple[Shape, Shape]) -> int:
        """FLOPs of an arm beside its compressor's training; to merge costs next to nothing, and counts as that."""
        chosen, vocabulary = self.arms[arm], self.plan.study.tokens.tokenizer.vocabulary
        if chosen.debiased:
            return debiasing(spec.architecture, *shapes, vocabulary, spec.window, self.config.debias)
        return self._pretraining(shapes[0], chosen.dose.steps) if chosen.dose else 0

    # -- steps

    def flops(self, cell: Cell) -> int:
        """Of a cell's training, with the arm's own thing."""
        return cell.own + self._training(cell.compressor, cell.shapes, cell.compressor.schedule.steps)

    def _training(self, spec: CompressorSpec, shapes: tuple[Shape, Shape], steps: int) -> int:
        return compressor_training(
            *(spec.architecture, *shapes, self.plan.study.tokens.tokenizer.vocabulary),
            *(spec.window, spec.curriculum, spec.schedule.batch, steps),
        )

    def _pretraining(self, shape: Shape, steps: int) -> int:
        """FLOPs of steps of a language model's pretraining."""
        pretraining, vocabulary = self.plan.study.lm.pretraining, self.plan.study.tokens.tokenizer.vocabulary
        return steps * language_model_step(shape, vocabulary, pretraining.row, pretraining.schedule.batch)

    def _steps_within(self, budget: int, spec: CompressorSpec, shapes: tuple[Shape, Shape]) -> int:
        """The most steps that a training may have."""
        few = spec.schedule.steps
        many = few * max(1, budget) // self._training(spec, shapes, few)
        possible = range(1, 2 * many + 2)
        return bisect_right(possible, budget, key=lambda steps: self._training(spec, shapes, steps))

    # -- analysis

    def arms_table(self, cells: list[Cell] | None = None) -> ArmsSpec:
        """Spec of the table of arms, in the order of ``cells``, or of some of them."""
        analysis = self.plan.study.analysis
        # But for the warm-up, which all of a shape share.
        pretrained = self.plan.study.lm.pretraining.schedule.steps
        return ArmsSpec(
            cells=tuple(
                ArmCell(
                    arm=cell.arm,
                    encoder=cell.job.encoder.config.name,
                    decoder=cell.job.decoder.config.name,
                    seed=cell.job.seed,
                    decoder_training=cell.compressor.architecture.decoder_training,
                    steps=cell.compressor.schedule.steps,
                    flops=self.flops(cell),
                    own_flops=cell.own,
                    pretraining_flops=sum(self._pretraining(shape, pretrained) for shape in cell.shapes),
                )
                for cell in cells or self.cells
            ),
            longer=LONGER,
            measure=self.config.measure,
            smallest_share=self.config.smallest_share,
            memory_test=analysis.memory_test,
            claims=only(analysis.claims, "alpha", "correction", "variants", *DRAW, *COUNTS),
        )

    # -- what must hold

    def _check(self) -> None:
        chosen = self.plan.study.compressor
        for pair in self.plan.mitigated:
            for key, names, known in (
                ("encoder", [pair.encoder, pair.decoder], chosen.encoders),
                ("decoder", [pair.decoder], chosen.decoders),
            ):
                for name in names:
                    if name not in known:
                        why = "for the matched pair " if key == "encoder" and name == pair.decoder else ""
                        raise _unfit("pairs", f"names {name}, which {why}must be one of compressor.{key}s")
            one, two = self._models[pair.encoder], self._models[pair.decoder]
            if one.pretrain is None or two.pretrain is None:
                raise _unfit(
                    "pairs", f"has {one.name} and {two.name}: both must be pretrained here, to know their cost"
                )
            if one.pretrain == two.pretrain:
                raise _unfit("pairs", f"has {one.name} and {two.name}, which were pretrained on the same data")
            if one.shape != two.shape:
                raise _unfit("pairs", f"has {one.name} and {two.name}, which differ in shape")
        if self.config.ratio not in chosen.ratios:
            raise _unfit("ratio", f"is {self.config.ratio}, which is not one of compressor.ratios")
        if chosen.objective != "autoencoding":
            raise _unfit("pairs", f"are given, but compressor.objective is {chosen.objective}, not autoencoding")
        if chosen.readouts[0] == "kv_prefix":
            raise _unfit(
                "pairs", "are given, but the first of compressor.readouts is kv_prefix, whose cost is not counted"
            )
        for arm in self.config.arms:
            self._check_arm(arm)

    def _check_arm(self, arm: str) -> None:
        chosen, changed = self.plan.study.compressor, ARMS[arm].architecture
        if any(getattr(chosen, key, None) == value for key, value in changed.items()):
            raise _unfit("arms", f"has {arm}, which is what every compressor of the study has")
        if "connector_start" in changed and chosen.connector == "alignment":
            raise _unfit("arms", f"has {arm}, for which compressor.connector must be linear, mlp or deep")
        if ARMS[arm].larger:
            larger, paired = self.config.larger_shape, {pair.encoder for pair in self.plan.mitigated}
            if larger not in self._shapes:
                raise _unfit("arms", f"has {arm}, so larger_shape must be one of lm.shapes: {', '.join(self._shapes)}")
            if ARMS[arm].infused and "larger_encoder" not in self.config.arms:
                raise _unfit("arms", f"has {arm}, whose doses are held against larger_encoder; name that too")
            for name, model in self._models.items():
                if name in paired and model.shape == larger:
                    raise _unfit("larger_shape", f"is {larger}, which is that of {name}")
                if name.endswith(f"_{larger}"):
                    raise _unfit("larger_shape", f"would make a model of the same name as {name}")

    # -- how cells are made

    def _cells(self, arm: str) -> list[Cell]:
        """One compressor of each pair and seed; of the matched pairs too, where they are trained in this way."""
        found: dict[str, Cell] = {}
        for pair in self.plan.mitigated:
            for seed in self.plan.study.seeds:
                matched = [pair.decoder] if not arm or self.arms[arm].controlled else []
                for encoder in [pair.encoder, *matched]:
                    job = self._job(encoder, pair.decoder, seed)
                    cell = self._with_help(arm, job) if arm else self._without(job)
                    found[cell.compressor.name] = cell
        return list(found.values())

    def _job(self, encoder: str, decoder: str, seed: int) -> Job:
        for job in self.plan.jobs.values():
            named = (job.encoder.config.name, job.decoder.config.name, job.readout, job.ratio, job.seed)
            if named == (encoder, decoder, self.plan.study.compressor.readouts[0], self.config.ratio, seed):
                return job
        raise AssertionError("checked before")

    def _without(self, job: Job) -> Cell:
        shapes = (self.plan.shape(job.encoder.name), self.plan.shape(job.decoder.name))
        return Cell(arm="", job=job, compressor=self.plan.compressor(job.name), shapes=shapes)

    def _with_help(self, arm: str, job: Job) -> Cell:
        plain = self._without(job)
        spec = plain.compressor
        models = self.model(arm, job, "encoder"), self.model(arm, job, "decoder")
        shapes = (self._shapes[models[0].config.shape], self._shapes[models[1].config.shape])
        architecture = spec.architecture.model_copy(update=dict(self.arms[arm].architecture))
        if architecture.decoder_training == "lora":
            architecture = architecture.model_copy(update={"lora": self.plan.study.compressor.lora})
        own = self._own_flops(arm, spec, shapes)
        budget = int((1 + self.config.extra_compute) * self.flops(plain)) - own
        made = spec.model_copy(
            update={
                "name": f"{spec.name}-{arm}",
                "encoder": self.encoder_of(arm, job),
                "decoder": models[1].name,
                "architecture": architecture,
            }
        )
        steps = self._steps_within(budget, made, shapes)
        if not steps:
            raise UserError(
                f"mitigation.arms has {arm}, which costs more than extra_compute allows before a single step"
            )
        schedule = made.schedule.model_copy(update={"steps": steps})
        return Cell(arm=arm, job=job, compressor=made.model_copy(update={"schedule": schedule}), shapes=shapes, own=own)

    def model(self, arm: str, job: Job, side: Side) -> Model:
        """The encoder or decoder of an arm's compressor, as it was pretrained."""
        model: Model = getattr(job, side)
        if self.arms[arm].larger != side:
            return model
        shape = self.config.larger_shape
        larger = ModelConfig(name=f"{model.config.name}_{shape}", pretrain=model.config.pretrain, shape=shape)
        return Model(config=larger, seed=model.seed)


def _unfit(key: str, what: str) -> UserError:
    return UserError(f"config key mitigation.{key} {what}")
