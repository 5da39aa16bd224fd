"""Ways to mitigate the data gap: which there are, what each changes of a mismatched pair, and the config of a study.

Every arm spends the same compute in all, (1 + extra_compute) times that of the pair's own compressor: see
mitigations.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contextpress.compressor.spec import Debias
from contextpress.figures.spec import DrawnMeasure
from contextpress.lm.spec import Dose, MergeRule
from contextpress.runtime.spec import Number, Spec, Whole, distinct

# What a config may name. Those that make another encoder come with their own cases in mitigations.py.
ArmName = Literal[
    "deep_connector",
    "alignment_block",
    "least_squares",
    "decoder_lora",
    "decoder_full",
    "larger_encoder",
    "larger_decoder",
    "merge_average",
    "merge_nan_tensors",
    "merge_nan_model",
    "infusion",
    "larger_infusion",
    "debias",
]
LONGER = "longer"  # the arm that spends all of it on more steps: always there, for the others are held against it


@dataclass(frozen=True)
class Arm:
    """What an arm changes of a mismatched pair.

    Attributes:
        architecture: keys of the compressor's architecture, and their values.
        larger: the side whose model is one of mitigation.larger_shape, pretrained on the same data.
        controlled: whether the matched pair is trained in the same way too: where the arm may help any pair, whether
            there is a gap or not.
        merge: by which rule the encoder is merged with the decoder, if it is.
        infused: whether the encoder's pretraining goes on with the decoder's corpus; one arm for every dose.
        dose: which of them.
        debiased: whether the compressor is also trained on its decoder's mistakes.
    """

    architecture: Mapping[str, str] = field(default_factory=dict)
    larger: Literal["encoder", "decoder"] | None = None
    controlled: bool = False
    merge: MergeRule | None = None
    infused: bool = False
    dose: Dose | None = None
    debiased: bool = False


ARMS: dict[str, Arm] = {
    LONGER: Arm(controlled=True),
    "deep_connector": Arm({"connector": "deep"}),
    "alignment_block": Arm({"connector": "alignment"}),
    "least_squares": Arm({"connector_start": "least_squares"}),
    "decoder_lora": Arm({"decoder_training": "lora"}, controlled=True),
    "decoder_full": Arm({"decoder_training": "full"}, controlled=True),
    "larger_encoder": Arm(larger="encoder", controlled=True),
    "larger_decoder": Arm(larger="decoder", controlled=True),
    "merge_average": Arm(merge="average"),
    "merge_nan_tensors": Arm(merge="nan_tensors"),
    "merge_nan_model": Arm(merge="nan_model"),
    "infusion": Arm(infused=True),
    "larger_infusion": Arm(larger="encoder", infused=True),
    "debias": Arm(debiased=True, controlled=True),
}


class MismatchedPair(Spec):
    """An encoder and a decoder that were pretrained on different data."""

    encoder: str = Field(description="one of compressor.encoders")
    decoder: str = Field(description="one of compressor.decoders, and of the encoders: for the matched pair")


class InfusionConfig(Spec):
    """Knowledge infusion: the encoder's pretraining goes on with the decoder's corpus, in rising doses.

    After arXiv 2509.19371: past a dose, the collapse point, a model loses what it knew.
    """

    doses: Annotated[tuple[Dose, ...], Field(min_length=1)] = Field(
        (
            Dose(share=0.25, steps=3),
            Dose(share=0.5, steps=6),
            Dose(share=0.75, steps=9),
            Dose(share=1.0, steps=12),
        ),
        description="each begins at the encoder as it was pretrained; neither key falls from one to the next (ours). "
        "In one trial 10 steps of half D6, and 20 of D6 alone, raised the nll of prose under D1 by 0.09 and 0.32",
    )
    learning_rate: Number = Field(
        2.5e-3, gt=0, lt=1, description="peak rate of each, half of that of the pretraining before (ours)"
    )
    tolerance: Number = Field(
        0.1,
        gt=0,
        description="nats per token by which the nll of held-out text of the encoder's own mixture may rise; the first "
        "dose past it is the collapse point, or the first whose quality is shown to be below a smaller dose's (ours)",
    )

    @model_validator(mode="after")
    def _doses_rise(self) -> Self:
        for one, two in pairwise(self.doses):
            if two.share < one.share or two.steps < one.steps or one == two:
                raise ValueError(
                    f"doses has share {one.share:g} for {one.steps} steps, then {two.share:g} for {two.steps}: both "
                    "must not fall, and one must rise"
                )
        return self


class MitigationConfig(Spec):
    """Whether the gap can be mitigated: mismatched pairs with help of several kinds, at equal extra compute."""

    pairs: Annotated[tuple[MismatchedPair, ...], AfterValidator(distinct)] | None = Field(
        None,
        description="pairs to help, such as {encoder: D1, decoder: D6}. null: the one whose data are furthest apart, "
        "of those that can be helped. []: none. The matched pair that each is held against has the decoder's model as "
        "encoder too, of another seed",
    )
    ratio: Whole = Field(4, gt=0, description="one of compressor.ratios")
    extra_compute: Number = Field(
        0.5,
        ge=0,
        description="by how much more an arm may cost than the compressor of the pair without help, as a share of its "
        "training FLOPs. What an arm does not spend on its own thing goes into further steps (ours)",
    )
    arms: Annotated[tuple[ArmName, ...], AfterValidator(distinct)] = Field(
        ("decoder_full", "merge_average"),
        description="what is tried, beside longer training: deep_connector (four matrices), alignment_block (see "
        "compressor.connector), least_squares (the connector starts as the map between the embedding tables), "
        "decoder_lora, decoder_full (the decoder learns too), larger_encoder, larger_decoder (of larger_shape), "
        "merge_average, merge_nan_tensors, merge_nan_model (the encoder is merged with the decoder: the mean, or NAN's "
        "coefficients by tensor or by model), infusion, larger_infusion (of the encoder, or of the larger one), debias",
    )
    larger_shape: str | None = Field(
        None, min_length=1, description="one of lm.shapes, for larger_encoder and larger_decoder"
    )
    measure: DrawnMeasure = Field("token_f1", description="quality whose gap is to be closed, as for C3")
    smallest_share: Number = Field(
        0.25,
        gt=0,
        lt=1,
        description="smallest share of the gap of interest: an arm that is shown to close less than this, beyond what "
        "longer training closes, does not mitigate it (ours)",
    )
    infusion: InfusionConfig = InfusionConfig()
    debias: Debias = Debias()

    def tried(self) -> dict[str, Arm]:
        """The arms by name, longer training first; infusion is one for every dose: infusion_1 and so on."""
        found = {LONGER: ARMS[LONGER]}
        for name in self.arms:
            if ARMS[name].infused:
                doses = enumerate(self.infusion.doses, start=1)
                found |= {f"{name}_{number}": replace(ARMS[name], dose=dose) for number, dose in doses}
            else:
                found[name] = ARMS[name]
        return found
