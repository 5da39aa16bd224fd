"""The jobs that arms have of their own: which there are, and that they cost what is counted."""

from __future__ import annotations

import json

import pytest

from contextpress.flops import debiasing, language_model_step
from contextpress.lm.spec import Shape
from contextpress.mitigations import Mitigations
from contextpress.plan import Plan
from contextpress.remedies import Remedies
from contextpress.runtime.errors import UserError
from contextpress.study import Study
from tests.unit.test_mitigations import STUDY, changed

DOSES = [{"share": 0.5, "steps": 2}, {"share": 0.5, "steps": 4}, {"share": 1.0, "steps": 4}]
PLANNED = changed(mitigation={"infusion": {"doses": DOSES, "learning_rate": 0.002, "tolerance": 0.2}})


@pytest.fixture(scope="module")
def remedies() -> Remedies:
    return Remedies(Mitigations(Plan(PLANNED)))


def test_without_such_arms_there_are_no_jobs():
    for study in ({"mitigation": {"pairs": []}}, changed(mitigation={"arms": ["decoder_lora"]})):
        none = Remedies(Mitigations(Plan(study)))
        assert (none.merged, none.infused, none.arms.starts, none.dosed) == ({}, {}, {}, [])


def test_an_encoder_is_merged_with_the_decoder_of_its_pair(remedies):
    rules = ("average", "nan_tensors", "nan_model")
    ends = [("D1-s0", "D6-s1"), ("D1-s1", "D6-s2"), ("D4-s0", "D6-s1"), ("D4-s1", "D6-s2")]
    made = {f"{one}-{two}-{rule}": ((one, two), rule) for one, two in ends for rule in rules}
    assert {name: (spec.models, spec.rule) for name, spec in remedies.merged.items()} == made
    compressor = remedies.arms.compressor("D4-D6-mean_pool-r4-s1-merge_nan_model")
    assert (compressor.encoder, compressor.decoder) == ("D4-s1-D6-s2-nan_model", "D6-s2")


def test_an_encoder_is_infused_with_its_decoders_mixture_in_every_dose(remedies):
    names = {
        f"{model}-s{seed}-D6-{arm}_{dose}"
        for seed in (0, 1)
        for model, arm in (
            *(("D1", "infusion"), ("D4", "infusion")),
            *(("D1_large", "larger_infusion"), ("D4_large", "larger_infusion")),
        )
        for dose in (1, 2, 3)
    }
    assert set(remedies.infused) == names
    made = remedies.infused["D4_large-s1-D6-larger_infusion_2"]
    assert (made.start.name, made.start.data, made.other) == ("D4_large-s1", "D4", "D6")
    schedule = made.spec.pretraining.schedule
    assert (made.spec.share, schedule.steps, schedule.learning_rate, made.spec.seed) == (0.5, 4, 0.002, 1)
    base = Plan(PLANNED).study.lm.pretraining
    assert made.spec.pretraining.model_copy(update={"schedule": base.schedule}) == base


def test_what_an_arm_spends_on_its_own_is_counted(remedies):
    own = {cell.arm: cell.own for cell in remedies.arms.cells if cell.job.name == "D1-D6-mean_pool-r4-s0"}
    base, large = Shape(), Shape(name="large", layers=3, width=240, heads=6, intermediate=640)
    step, larger = (language_model_step(shape, 2048, 96, 44) for shape in (base, large))
    assert [own[f"infusion_{dose}"] for dose in (1, 2, 3)] == [2 * step, 4 * step, 4 * step]
    assert [own[f"larger_infusion_{dose}"] for dose in (1, 2, 3)] == [2 * larger, 4 * larger, 4 * larger]
    spec = remedies.arms.compressor("D1-D6-mean_pool-r4-s0-debias")
    config = remedies.config.debias
    assert own["debias"] == debiasing(spec.architecture, base, base, 2048, 32, config) > 0
    assert {arm for arm, cost in own.items() if cost} == {
        *(f"{kind}_{dose}" for kind in ("infusion", "larger_infusion") for dose in (1, 2, 3)),
        "debias",
    }


def test_debiasing_begins_at_a_compressor_of_its_own(remedies):
    name = "D1-D6-mean_pool-r4-s1-debias"
    start, made = remedies.arms.starts[name], remedies.arms.compressor(name)
    assert start == made.model_copy(update={"name": f"{name}_start"})
    assert remedies.arms.compressor(start.name) == start
    assert 0 < start.schedule.steps < remedies.arms.compressor(name.replace("debias", "longer")).schedule.steps
    assert remedies.mistakes(name).domains == start.domains
    assert (remedies.mistakes(name).window, remedies.mistakes(name).passages) == (32, remedies.config.debias.passages)
    assert remedies.debias(name).seed == 1
    # The matched pair too: it may help any pair.
    assert "D6-D6-mean_pool-r4-s0-debias" in remedies.arms.starts


def test_the_curves_hold_every_dose_and_none_of_each_size(remedies):
    spec = remedies.infusion()
    told = [
        (cell.encoder, cell.seed, dose.size, dose.dose, cell.arm)
        for cell, dose in zip(spec.arms.cells, spec.doses, strict=True)
    ]
    of_one = [each[2:] for each in told if each[:2] == ("D4", 1)]
    assert sorted(of_one) == sorted(
        [
            *(("base", 0, "longer"), ("large", 0, "larger_encoder")),
            *(("base", dose, f"infusion_{dose}") for dose in (1, 2, 3)),
            *(("large", dose, f"larger_infusion_{dose}") for dose in (1, 2, 3)),
        ]
    )
    assert len(told) == 4 * len(of_one)
    # A quarter of 44 rows holds random ids: 33 of 96 tokens a step hold text.
    tokens = {dose.dose: (dose.share, dose.steps, dose.tokens) for dose in spec.doses}
    assert tokens == {0: (0, 0, 0), 1: (0.5, 2, 33 * 96), 2: (0.5, 4, 66 * 96), 3: (1.0, 4, 132 * 96)}
    assert {dose.size: dose.weights for dose in spec.doses} == {"base": 884_736, "large": 2_073_600}
    assert spec.mixtures["D1"] == {"prose": 1.0}
    assert set(spec.mixtures) == {"D1", "D4", "D6"}
    assert spec.tolerance == 0.2


def test_every_spec_survives_its_journey_to_a_command(remedies):
    made = [*remedies.merged.values(), *(each.spec for each in remedies.infused.values()), remedies.infusion()]
    made += [make(name) for name in remedies.arms.starts for make in (remedies.mistakes, remedies.debias)]
    for spec in made:
        assert "\n" not in spec.line()
        assert type(spec).read(json.loads(spec.line())) == spec


def test_the_larger_curve_can_be_left_out():
    arms = Remedies(Mitigations(Plan(changed(mitigation={"arms": ["infusion", "larger_encoder"]}))))
    assert {dose.size for dose in arms.infusion().doses} == {"base"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"arms": ["larger_infusion"]}, "whose doses are held against larger_encoder"),
        ({"arms": ["infusion"], "infusion": {"doses": [{"share": 1, "steps": 400}]}}, "before a single step"),
    ],
)
def test_arms_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(UserError, match=message):
        Mitigations(Plan(changed(mitigation=keys)))


@pytest.mark.parametrize(
    "doses",
    [
        [],
        [{"share": 0.5, "steps": 4}, {"share": 0.5, "steps": 4}],
        [{"share": 0.5, "steps": 4}, {"share": 0.6, "steps": 3}],
        [{"share": 0.5, "steps": 4}, {"share": 0.4, "steps": 5}],
        [{"share": 0, "steps": 4}],
        [{"share": 1.1, "steps": 4}],
    ],
)
def test_doses_rise(doses):
    with pytest.raises(UserError, match=r"mitigation\.infusion"):
        Study.read({"mitigation": {"infusion": {"doses": doses}}})


def test_every_study_has_these_keys():
    assert Study.read(STUDY).mitigation.tried().keys() >= {"infusion_1", "infusion_4", "debias"}
