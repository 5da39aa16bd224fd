"""Ways to mitigate the data gap: which there are, what each changes of a mismatched pair, and the config of a study.

Every arm spends the same compute in all, (1 + extra_compute) times that of the pair's own compressor: see
mitigations.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from contextpress.figures.spec import DrawnMeasure
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
    """

    architecture: Mapping[str, str] = field(default_factory=dict)
    larger: Literal["encoder", "decoder"] | None = None
    controlled: bool = False


ARMS: dict[str, Arm] = {
    LONGER: Arm(controlled=True),
    "deep_connector": Arm({"connector": "deep"}),
    "alignment_block": Arm({"connector": "alignment"}),
    "least_squares": Arm({"connector_start": "least_squares"}),
    "decoder_lora": Arm({"decoder_training": "lora"}, controlled=True),
    "decoder_full": Arm({"decoder_training": "full"}, controlled=True),
    "larger_encoder": Arm(larger="encoder", controlled=True),
    "larger_decoder": Arm(larger="decoder", controlled=True),
}


class MismatchedPair(Spec):
    """An encoder and a decoder that were pretrained on different data."""

    encoder: str = Field(description="one of compressor.encoders")
    decoder: str = Field(description="one of compressor.decoders, and of the encoders: for the matched pair")


class MitigationConfig(Spec):
    """Whether the gap can be mitigated: mismatched pairs with help of several kinds, at equal extra compute."""

    pairs: Annotated[tuple[MismatchedPair, ...], AfterValidator(distinct)] = Field(
        (),
        description="pairs to help, such as {encoder: D1, decoder: D6}; none: nothing is mitigated. The matched "
        "pair that each is held against has the decoder's model as encoder too, of another seed",
    )
    ratio: Whole = Field(4, gt=0, description="one of compressor.ratios")
    extra_compute: Number = Field(
        0.5,
        ge=0,
        description="by how much more an arm may cost than the compressor of the pair without help, as a share of its "
        "training FLOPs. What an arm does not spend on its own thing goes into further steps (ours)",
    )
    arms: Annotated[tuple[ArmName, ...], AfterValidator(distinct)] = Field(
        tuple(name for name in get_args(ArmName) if ARMS[name].larger is None),
        description="what is tried, beside longer training: deep_connector (four matrices), alignment_block (see "
        "compressor.connector), least_squares (the connector starts as the map between the embedding tables), "
        "decoder_lora, decoder_full (the decoder learns too), larger_encoder, larger_decoder (of larger_shape)",
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
