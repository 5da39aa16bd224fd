"""What the arms add to a study: which compressors and models, at what cost, and what is refused."""

from __future__ import annotations

import copy
import typing

import pytest

from contextpress.arms import ARMS, LONGER, ArmName
from contextpress.flops import compressor_training
from contextpress.mitigations import Mitigations
from contextpress.plan import Plan
from contextpress.runtime.errors import UserError
from contextpress.study import Study

SHAPES = [{"name": "base"}, {"name": "large", "layers": 3, "width": 240, "heads": 6, "intermediate": 640}]
STUDY = {
    "study": "helped",
    "seeds": [0, 1],
    "lm": {"shapes": SHAPES, "models": [{"name": name, "pretrain": name} for name in ("D1", "D4", "D6")]},
    "compressor": {"encoders": ["D1", "D4", "D6"], "decoders": ["D1", "D6"], "ratios": [2, 4]},
    "mitigation": {
        "pairs": [{"encoder": "D1", "decoder": "D6"}, {"encoder": "D4", "decoder": "D6"}],
        "arms": list(typing.get_args(ArmName)),
        "larger_shape": "large",
    },
}


def changed(**sections: dict) -> dict:
    study = copy.deepcopy(STUDY)
    for section, keys in sections.items():
        study[section] |= keys
    return study


@pytest.fixture(scope="module")
def arms() -> Mitigations:
    return Mitigations(Plan(STUDY))


def test_every_arm_can_be_named():
    assert set(typing.get_args(ArmName)) == set(ARMS) - {LONGER}


def test_without_pairs_nothing_is_added():
    plan = Plan({"mitigation": {"pairs": []}})
    arms = Mitigations(plan)
    assert (arms.cells, arms.compressors, arms.models) == ([], {}, {})
    assert plan.config().config["mitigation"] == {"pairs": []}
    assert all(arms.compressor(name) == plan.compressor(name) for name in plan.jobs)


MODELS = {name: {"name": name, "pretrain": name} for name in ("D1", "D4", "D5", "D6", "random")}


@pytest.mark.parametrize(
    ("encoders", "decoders", "changes", "helped"),
    [
        (["D1", "D4", "D6"], ["D1", "D4", "D6"], {}, ("D1", "D6")),  # of two as far apart the first
        (["D6", "D4", "D1"], ["D1", "D4", "D6"], {}, ("D6", "D1")),
        (["D1", "D4", "D5"], ["D1", "D6"], {}, ("D5", "D1")),  # D6 has no matched pair
        (["D1", "random"], ["D1", "random"], {}, None),  # a distance that nobody knows
        (["D1"], ["D1"], {}, None),
        (["D1", "D6"], ["D1", "D6"], {"ratios": [2]}, None),  # not the ratio at which arms are tried
        (["D1", "D6"], ["D1", "D6"], {"decoder_training": "full"}, None),
        (["D1", "D6"], ["D1", "D6"], {"objective": "autoencoding_continuation"}, None),
        (["D1", "D6"], ["D1", "D6"], {"readouts": ["kv_prefix", "mean_pool"]}, None),
    ],
)
def test_the_pair_furthest_apart_is_helped_where_none_is_named(encoders, decoders, changes, helped):
    models = [MODELS[name] for name in dict.fromkeys([*encoders, *decoders])]
    plan = Plan(
        {"lm": {"models": models}, "compressor": {"encoders": encoders, "decoders": decoders, "ratios": [4]} | changes}
    )
    found = [(pair.encoder, pair.decoder) for pair in plan.mitigated]
    assert found == ([helped] if helped else [])
    assert bool(Mitigations(plan).compressors) == bool(helped)


def test_models_of_two_shapes_are_no_pair_to_help():
    models = [MODELS["D1"], MODELS["D6"] | {"shape": "large"}]
    plan = Plan(
        {
            "lm": {"shapes": SHAPES, "models": models},
            "compressor": {"encoders": ["D1", "D6"], "decoders": ["D1", "D6"]},
        }
    )
    assert plan.mitigated == ()


def test_pairs_are_stored_with_the_config_and_change_no_spec_of_the_study():
    bare = changed()
    bare["mitigation"] = {"pairs": []}
    one, two = Plan(bare), Plan(STUDY)
    assert two.config().config["mitigation"]["pairs"] == [
        {"encoder": "D1", "decoder": "D6"},
        {"encoder": "D4", "decoder": "D6"},
    ]
    assert list(one.jobs) == list(two.jobs)
    assert all(one.compressor(name).line() == two.compressor(name).line() for name in one.jobs)
    assert one.observations().line() == two.observations().line()
    assert one.predictor().line() == two.predictor().line()


def test_the_cells_of_an_arm(arms):
    def of(arm: str) -> list[str]:
        return [cell.compressor.name for cell in arms.cells if cell.arm == arm]

    pairs = [f"{encoder}-D6-mean_pool-r4-s{seed}" for seed in (0, 1) for encoder in ("D1", "D6", "D4")]
    assert sorted(of("")) == sorted(pairs)  # the matched pair of both once
    assert sorted(of("decoder_full")) == sorted(f"{name}-decoder_full" for name in pairs)
    assert sorted(of("alignment_block")) == sorted(f"{name}-alignment_block" for name in pairs if name[:2] != "D6")
    assert len(arms.compressors) == sum(len(of(arm)) for arm in arms.arms) + len(of("debias"))  # which begin at others
    assert not set(arms.compressors) & set(arms.plan.jobs)


@pytest.mark.parametrize("extra", [0.0, 0.5, 2.0])
def test_all_arms_cost_the_same(extra):
    arms = Mitigations(Plan(changed(mitigation={"extra_compute": extra})))
    costs = {cell.compressor.name: arms.flops(cell) for cell in arms.cells}
    for cell in arms.cells:
        spec, shapes = cell.compressor, cell.shapes
        base = costs[cell.job.name]

        def cost(steps: int, spec=spec, shapes=shapes) -> int:
            return compressor_training(spec.architecture, *shapes, 2048, 32, spec.curriculum, 32, steps)

        assert costs[spec.name] == cell.own + cost(spec.schedule.steps)
        if cell.arm:
            # One step more would be too much. One step is less than a hundredth of it.
            assert cell.own + cost(spec.schedule.steps + 1) > (1 + extra) * base
            assert 0.98 * (1 + extra) * base < costs[spec.name] <= (1 + extra) * base
    longer = [cell.compressor.schedule.steps for cell in arms.cells if cell.arm == LONGER]
    full = [cell.compressor.schedule.steps for cell in arms.cells if cell.arm == "decoder_full"]
    assert set(longer) == {int(140 * (1 + extra))} or set(longer) <= {int(140 * (1 + extra)) - 1}
    assert max(full) < min(longer)


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("longer", {}),
        ("deep_connector", {"connector": "deep"}),
        ("alignment_block", {"connector": "alignment"}),
        ("least_squares", {"connector_start": "least_squares"}),
        ("decoder_lora", {"decoder_training": "lora"}),
        ("decoder_full", {"decoder_training": "full"}),
        ("larger_encoder", {}),
        ("larger_decoder", {}),
    ],
)
def test_an_arm_changes_what_it_says_and_the_steps(arms, arm, changes):
    spec, base = arms.compressor(f"D1-D6-mean_pool-r4-s1-{arm}"), arms.plan.compressor("D1-D6-mean_pool-r4-s1")
    encoder, decoder = "D1-s1", "D6-s2"
    if arm == "larger_encoder":
        encoder = "D1_large-s1"
    if arm == "larger_decoder":
        decoder = "D6_large-s2"
    architecture = base.architecture.model_copy(update=changes)
    schedule = base.schedule.model_copy(update={"steps": spec.schedule.steps})
    made = {"name": spec.name, "encoder": encoder, "decoder": decoder, "architecture": architecture}
    assert spec == base.model_copy(update={**made, "schedule": schedule})


def test_larger_models_are_pretrained_on_the_data_of_the_pairs(arms):
    # Encoders are of seeds 0 and 1, decoders of 1 and 2; the matched pair's encoder is larger too.
    assert sorted(arms.models) == [
        *("D1_large-s0", "D1_large-s1", "D4_large-s0", "D4_large-s1"),
        *("D6_large-s0", "D6_large-s1", "D6_large-s2"),
    ]
    assert {model.config.shape for model in arms.models.values()} == {"large"}
    assert arms.models["D4_large-s0"].config.pretrain == "D4"


def test_the_table_is_asked_for_every_cell_in_order(arms):
    table = arms.arms_table()
    assert [(cell.arm, cell.encoder, cell.seed) for cell in table.cells] == [
        (cell.arm, cell.job.encoder.config.name, cell.job.seed) for cell in arms.cells
    ]
    trained = {cell.arm: cell.decoder_training for cell in table.cells}
    assert (trained["decoder_lora"], trained["decoder_full"], trained["longer"]) == ("lora", "full", "frozen")
    costs = {cell.arm: cell.pretraining_flops for cell in table.cells}
    assert costs["larger_decoder"] == costs["larger_encoder"] > costs["longer"] == costs[""]


VAST = {"name": "vast", "layers": 900, "width": 1200, "heads": 6, "intermediate": 3200}
D1, D4, D6, LOADED = (
    *({"name": name, "pretrain": name} for name in ("D1", "D4", "D6")),
    {"name": "one", "load": "some/model", "tokenizer": "own"},
)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (
            changed(mitigation={"pairs": [{"encoder": "D3", "decoder": "D6"}]}),
            "names D3, which must be one of compressor.encoders",
        ),
        (
            changed(mitigation={"pairs": [{"encoder": "D1", "decoder": "D4"}]}),
            "names D4, which must be one of compressor.decoders",
        ),
        (
            changed(compressor={"encoders": ["D1", "D4"]}),
            "names D6, which for the matched pair must be one of compressor.encoders",
        ),
        (changed(mitigation={"pairs": [{"encoder": "D6", "decoder": "D6"}]}), "which were pretrained on the same data"),
        (
            changed(lm={"models": [D1, D4, {**D6, "shape": "large"}]}),
            "has D1 and D6, which differ in shape",
        ),
        (changed(mitigation={"ratio": 8}), "mitigation.ratio is 8, which is not one of compressor.ratios"),
        (changed(mitigation={"larger_shape": None}), "so larger_shape must be one of lm.shapes: base, large"),
        (changed(compressor={"connector": "deep"}), "deep_connector, which is what every compressor of the study has"),
        (changed(compressor={"decoder_training": "lora"}), "decoder_lora, which is what every compressor"),
        (changed(compressor={"readouts": ["kv_prefix"]}), "the first of compressor.readouts is kv_prefix"),
        (changed(compressor={"objective": "autoencoding_continuation"}), "not autoencoding"),
        (
            changed(compressor={"connector": "alignment"}, mitigation={"arms": ["least_squares"]}),
            "for which compressor.connector must be linear, mlp or deep",
        ),
        (
            changed(lm={"models": [D1, D4, D6, {"name": "D1_large", "pretrain": "D1"}]}),
            "would make a model of the same name as D1_large",
        ),
        (
            {
                **changed(
                    lm={"models": [D1, D6, LOADED]},
                    compressor={"encoders": ["one", "D6"], "decoders": ["D6"]},
                    mitigation={"pairs": [{"encoder": "one", "decoder": "D6"}]},
                ),
                "analysis": {"claims": {"c2": {"predictor": "decoder_bits_per_byte"}}},
            },
            "has one and D6: both must be pretrained here, to know their cost",
        ),
        (changed(mitigation={"larger_shape": "base"}), "larger_shape is base, which is that of D1"),
        (changed(mitigation={"larger_shape": "vast"}, lm={"shapes": [*SHAPES, VAST]}), "before a single step"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(study, message):
    with pytest.raises(UserError) as error:
        Mitigations(Plan(study))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pair_twice_or_an_unknown_arm_is_refused():
    for keys, message in (
        ({"pairs": [{"encoder": "D1", "decoder": "D6"}] * 2}, "the entries must differ"),
        ({"arms": ["prayer"]}, "should be 'deep_connector'"),
    ):
        with pytest.raises(UserError, match=message):
            Study.read(changed(mitigation=keys))
