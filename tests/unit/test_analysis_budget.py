"""Memory shared out: against brute force, by hand, and on made-up studies in which following entropy wins, or not."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextpress.analysis.allocation import UNDECIDED, allocate, nearest_total, water_filled
from contextpress.analysis.budget import (
    BEST,
    DECODER,
    ENCODER,
    POOLED,
    PREDICTED,
    RANDOM,
    TABLE,
    UNIFORM,
    WITHIN,
    Banks,
    along,
    budget,
    drawn_orders,
)
from contextpress.analysis.hypotheses import ClaimsSpec, EncoderEntropy
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import build_panel
from contextpress.analysis.practice import BudgetRules, BudgetSpec
from contextpress.analysis.prediction import RATIO, Fitted, Predictor, Seen, Term
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.practice import budget as budget_spec
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import observations

SPEC = BudgetSpec(rules=BudgetRules(steps=2, orders=50), claims=ClaimsSpec(draws=200))
MODELS, SEEDS, TOKENS = ("D1", "D6"), (0, 1, 2), 32

needs = st.lists(st.floats(0.1, 50), min_size=1, max_size=12)
sizes_on_offer = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(sorted)


def study(ratios: tuple[int, ...] = (2, 4, 8), quality=None) -> pd.DataFrame:
    """Observations whose token F1 is ``quality`` of vectors and nats of the encoder, with a little noise."""
    rows = observations(MODELS, ("prose", "code"), passages=60, ladder=0, ratios=ratios, seeds=SEEDS)
    if quality is None:
        return rows
    noise = np.random.default_rng(5).normal(0, 0.002, len(rows))
    return rows.assign(token_f1=quality(TOKENS / rows["ratio"], rows["encoder_nll"] * TOKENS) + noise)


def banks_of(rows: pd.DataFrame, predictor: Predictor | None = None) -> Banks:
    return Banks.of(build_panel(rows, SPEC.claims), "token_f1", predictor)


@given(needs, st.floats(1, 4), st.floats(0, 20), st.floats(0, 1))
def test_water_filling_is_the_clipped_line_through_its_corners(need, low, more, share):
    """Between two levels at which somebody gets to the floor or the ceiling, the sum is a straight line."""
    need, high = np.array(need), low + more
    total = len(need) * (low + share * more)
    found = water_filled(need, low, high, total)
    assert found.sum() == pytest.approx(total, rel=1e-9)
    corners = np.unique(np.concatenate([[0.0], low / need, high / need]))
    sums = np.array([np.minimum(np.maximum(level * need, low), high).sum() for level in corners])
    if more > 1e-6:
        place = min(int(np.searchsorted(sums, total)), len(sums) - 1)
        before = max(0, place - 1)
        step = sums[place] - sums[before]
        part = (total - sums[before]) / step if step > 0 else 0.0
        level = corners[before] + part * (corners[place] - corners[before])
        assert found == pytest.approx(np.minimum(np.maximum(level * need, low), high), rel=1e-6, abs=1e-6)


def test_water_filling_by_hand():
    assert water_filled(np.array([1.0, 2.0, 10.0]), 1, 8, 12) == pytest.approx([4 / 3, 8 / 3, 8])
    assert water_filled(np.array([0.0, 3.0]), 2, 4, 6) == pytest.approx([2, 4])
    assert water_filled(np.array([0.0, 3.0]), 2, 4, 8) == pytest.approx([4, 4])  # who needs nothing comes last
    with pytest.raises(ValueError, match="do not add up to 9"):
        water_filled(np.array([1.0, 2.0]), 1, 4, 9)


@given(st.data(), sizes_on_offer, st.integers(1, 5))
def test_the_allocation_is_that_of_brute_force(data, sizes, count):
    own = st.lists(st.integers(-6, 6), min_size=len(sizes), max_size=len(sizes))
    cost = np.array(data.draw(st.lists(own, min_size=count, max_size=count)))
    total = data.draw(st.integers(count * sizes[0] - 1, count * sizes[-1] + 1))
    offers = np.array(sizes)
    every = [
        (sum(cost[place][choice] for place, choice in enumerate(choices)), choices)
        for choices in product(range(len(sizes)), repeat=count)
        if sum(sizes[choice] for choice in choices) == total
    ]
    if not every:
        with pytest.raises(ValueError, match=f"cannot have {total} in all"):
            allocate(cost.astype(float), offers, total)
    else:
        found = allocate(cost.astype(float), offers, total)
        assert offers[found].sum() == total
        assert cost[np.arange(count), found].sum() == min(every)[0]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 100))
def test_the_allocation_of_many_is_that_of_a_whole_table(seed, share):
    """Against a table of the least cost of every total, passage by passage, without a price."""
    draw = np.random.default_rng(seed)
    count, sizes = 2 * UNDECIDED, np.array([4, 8, 16])
    cost = np.round(draw.normal(0, 1, (count, 3)), draw.integers(0, 4))  # with few digits there are ties
    total = nearest_total(sizes, count, count * (4 + 12 * share / 100))
    best = {0: 0.0}
    for own in cost:
        reached: dict[int, float] = {}
        for so_far, paid in best.items():
            for size, more in zip(sizes.tolist(), own, strict=True):
                reached[so_far + size] = min(reached.get(so_far + size, np.inf), paid + more)
        best = reached
    found = allocate(cost, sizes, total)
    assert sizes[found].sum() == total
    assert cost[np.arange(count), found].sum() == pytest.approx(best[total], abs=1e-9)
    assert (found == allocate(cost, sizes, total)).all()


@given(sizes_on_offer, st.integers(1, 5), st.floats(0, 50))
def test_the_nearest_total_is_that_of_all_sums(sizes, count, wanted):
    sums = {sum(chosen) for chosen in product(sizes, repeat=count)}
    assert nearest_total(np.array(sizes), count, wanted) == min(sums, key=lambda found: (abs(found - wanted), found))


def test_between_two_sizes_quality_lies_on_a_line():
    values = np.array([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]])  # one bank, three sizes, data and one draw
    at = np.array([[6.0, 12.0]])
    assert along(np.array([4, 8, 16]), values, at) == pytest.approx(np.array([[1.5, 40.0]]))
    assert along(np.array([4, 8, 16]), values, np.array([[4.0, 16.0]])) == pytest.approx(np.array([[1.0, 60.0]]))


@pytest.mark.parametrize("ratios", [(2, 4), (2, 4, 8)])
def test_every_way_of_sharing_gives_out_the_same_total(ratios):
    banks = banks_of(study(ratios))
    tried = banks.budgets(4)
    assert tried.tolist() == ([10, 12, 14] if len(ratios) == 2 else [5, 6, 7, 8, 10, 12, 14])
    for mean in tried:
        for rows in (slice(0, len(banks.panel.passages)), *banks.panel.slices):
            shared = banks.shared(rows, mean)
            assert list(shared) == [ENCODER, DECODER, BEST]
            for way, places in shared.items():
                totals = banks.sizes[places].sum(1)
                assert (totals == mean * (rows.stop - rows.start)).all(), way


def test_more_nats_never_get_fewer_vectors():
    banks = banks_of(study())
    rows = slice(0, len(banks.panel.passages))
    for bank, places in zip(banks.nats["encoder"], banks.shared(rows, 8.0)[ENCODER], strict=True):
        assert (np.diff(banks.sizes[places][np.argsort(bank)]) >= 0).all()
        assert set(places) == {0, 1, 2}


def test_with_two_ratios_the_gain_is_that_of_ranks_and_pivots():
    """At half the way the half of the passages with more nats gets the larger size, whatever the level is."""
    rows = study((2, 4))
    finding, table = budget(rows, None, SPEC)
    for scope, by in ((POOLED, lambda nll: nll.rank()), (WITHIN, lambda nll: nll.groupby(level=0).rank(pct=True))):
        gains = []
        for _, bank in rows.groupby(["encoder", "decoder", "seed"]):
            wide = bank.pivot_table(index=["domain", "passage_id"], columns="ratio", values="token_f1")
            nll = bank[bank["ratio"] == 2].set_index(["domain", "passage_id"])["encoder_nll"].loc[wide.index]
            ranks = by(nll)
            gains.append(np.where(ranks > ranks.median(), wide[2], wide[4]).mean() - wide.to_numpy().mean())
        row = table[(table["scope"] == scope) & (table["budget"] == 12) & (table["sharing"] == ENCODER)].iloc[0]
        assert row["gain"] == pytest.approx(np.mean(gains), abs=1e-9)
        if scope == POOLED:
            assert finding["effect"] == pytest.approx(np.mean(gains), rel=1e-5)
            assert row["gain_per_vector"] == pytest.approx(row["gain"] / 12)
            assert row["quality_per_vector"] == pytest.approx(row["quality"] / 12)
    random = table[table["sharing"] == RANDOM]
    assert (random[["gain", "gain_ci95_low", "gain_ci95_high"]] == 0).all(axis=None)
    assert list(table.columns) == TABLE
    assert set(table["scope"]) == {POOLED, WITHIN, "prose", "code"}


def test_the_uniform_budget_on_offer_is_that_ratio():
    rows = study()
    _, table = budget(rows, None, SPEC)
    one = table[(table["scope"] == POOLED) & (table["budget"] == 8) & (table["sharing"] == UNIFORM)].iloc[0]
    assert one["quality"] == pytest.approx(rows.loc[rows["ratio"] == 4, "token_f1"].mean())


def test_the_random_order_is_what_drawn_orders_come_to():
    rows = study(quality=saturating)
    finding, table = budget(rows, None, SPEC)
    row = table[(table["scope"] == POOLED) & (table["budget"] == 8) & (table["sharing"] == RANDOM)].iloc[0]
    banks = banks_of(rows)
    given = banks.shared(slice(0, 120), 8.0)[ENCODER]
    drawn = drawn_orders(banks, given, 400, 1)
    assert row["quality"] == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 20)
    shares = {str(size): pytest.approx((given == place).mean()) for place, size in enumerate((4, 8, 16))}
    assert finding["details"]["share_given"] == shares
    told = finding["details"]["random_orders"]
    assert told["drawn"] == 50 and told["share_as_good"] == pytest.approx(1 / 51, rel=1e-4)


def saturating(vectors, nats):
    """Four vectors tell nearly all of a passage that does not surprise; the others need sixteen."""
    return np.where(nats < 96, 0.7 + 0.01 * vectors, 0.06 * vectors)


def indifferent(vectors, nats):
    """A vector is worth the same to every passage."""
    return 0.05 * vectors + 0 * nats


def hopeless(vectors, nats):
    """A vector is worth less to a surprising passage."""
    return 0.06 * vectors * np.clip(1.5 - nats / 90, 0.1, None)


@pytest.mark.parametrize(
    ("quality", "verdict", "reason"),
    [
        (saturating, "supported", "the gain is positive, in every seed"),
        (indifferent, "contradicted", "an effect as large as 0.01 is ruled out"),
        (hopeless, "contradicted", "the gain is negative"),
    ],
)
def test_the_verdict_is_that_of_the_planted_truth(quality, verdict, reason):
    finding, table = budget(study(quality=quality), None, SPEC)
    assert (finding["verdict"], reason in finding["reason"]) == (verdict, True)
    assert finding["ci95"][0] < finding["effect"] < finding["ci95"][1]
    assert finding["n"] == 120 * 4 * 3 * 3
    assert finding["clusters"] == 60
    pooled = table[(table["scope"] == POOLED) & (table["budget"] == 8)].set_index("sharing")["gain"]
    assert pooled[BEST] >= pooled.drop(BEST).max()


def test_the_interval_of_half_the_documents_is_wider_and_holds_the_gain_of_all():
    rows = study(quality=saturating)
    half = sorted(rows["document_id"].unique())[::2]
    whole, part = (budget(some, None, SPEC)[0] for some in (rows, rows[rows["document_id"].isin(half)]))
    assert (whole["clusters"], part["clusters"]) == (60, 30)
    assert part["ci95"][0] < whole["effect"] < part["ci95"][1]
    assert part["ci95"][1] - part["ci95"][0] > whole["ci95"][1] - whole["ci95"][0]


def known(terms: dict[str, float]) -> Predictor:
    """A predictor of token F1 that has seen every compressor of ``study``."""
    seen = [
        Seen(
            encoder=encoder,
            decoder=decoder,
            readout="memory_tokens",
            ratio=ratio,
            seed=seed,
            encoder_model=f"{encoder}-s{seed}",
            decoder_model=f"{decoder}-s{seed}",
            gap_kl_encoder_decoder=0.1,
            gap_entropy_difference=0.1,
            encoder_parameters=1000.0,
            decoder_parameters=1000.0,
            encoder_nll=(0.0, 9.0),
            decoder_nll=(0.0, 9.0),
            surplus=(-1.0, 1.0),
        )
        for encoder, decoder, ratio, seed in product(MODELS, MODELS, (2, 4, 8), SEEDS)
    ]
    fitted = Fitted(
        measure="token_f1",
        scale=1.0,
        terms=tuple(Term(name=name, coefficient=value, ci95=(None, None)) for name, value in terms.items()),
        bands=(),
    )
    return Predictor(window=TOKENS, seen=tuple(seen), measures={"token_f1": fitted})


def test_the_predictor_gives_to_those_in_the_middle_of_its_scale():
    """On the log-odds every passage gains the same by a larger size; the most quality where it is near one half."""
    rows = study()
    terms = {"intercept": 14.0, "ln(1 + encoder_nll)": -9.0, RATIO: -0.8}
    banks = banks_of(rows, known(terms))
    places = banks.shared(slice(0, 120), 8.0)[PREDICTED]
    merit = 14 - 9 * np.log1p(banks.nats["encoder"] / TOKENS)
    wanted = 1 / (1 + np.exp(-(merit[:, None] - 0.8 * np.log2(TOKENS / banks.sizes)[:, None])))
    assert banks.predicted == pytest.approx(wanted)
    reached = np.take_along_axis(wanted, places[:, None], axis=1)[:, 0].sum(1)
    for way in (ENCODER, DECODER, BEST):
        others = banks.shared(slice(0, 120), 8.0)[way]
        assert (reached >= np.take_along_axis(wanted, others[:, None], axis=1)[:, 0].sum(1) - 1e-9).all()
    table = budget(rows, known(terms), SPEC)[1]
    assert list(dict.fromkeys(table["sharing"])) == [UNIFORM, ENCODER, DECODER, RANDOM, PREDICTED, BEST]


def test_a_measure_that_the_predictor_does_not_know_is_shared_out_without_it():
    claims = ClaimsSpec(draws=60, c1=EncoderEntropy(measure="bleu"))
    table = budget(study((2, 4)), known({"intercept": 1.0}), SPEC.model_copy(update={"claims": claims}))[1]
    assert set(table["sharing"]) == {UNIFORM, ENCODER, DECODER, RANDOM, BEST}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows[rows["ratio"] == 4], "all compressors have ratio 4; at least two ratios are needed"),
        (lambda rows: rows.assign(memory_used=False), "no compressor of the study uses its memory"),
        (lambda rows: rows.assign(tokens=rows["bytes"]), "the passages differ in length"),
        (
            lambda rows: rows.assign(memory_used=(rows["ratio"] == 2) ^ (rows["seed"] == 1)),
            "no pair has compressors of all ratios (2, 4, 8) that use their memory",
        ),
    ],
)
def test_where_nothing_can_be_shared_out_that_is_told(change, reason):
    finding, table = budget(change(study()), None, SPEC)
    assert (finding["verdict"], reason in finding["reason"]) == ("not available", True)
    assert (finding["effect"], finding["ci95"], finding["n"], len(table)) == (None, [None, None], 0, 0)


def test_a_pair_that_lacks_a_ratio_is_left_out():
    rows = study(quality=saturating)
    lame = (rows["encoder"] == "D1") & (rows["decoder"] == "D6") & (rows["ratio"] == 8)
    finding, _ = budget(rows.assign(memory_used=~lame), None, SPEC)
    assert (finding["details"]["banks"], finding["n"]) == (9, 120 * 9 * 3)


def test_few_seeds_leave_the_verdict_open_and_the_effect_told():
    rows = study(quality=saturating)
    finding, _ = budget(rows[rows["seed"] == 0], None, SPEC)
    assert (finding["verdict"], finding["reason"]) == ("inconclusive", "1 training seed(s); at least 2 are needed")
    assert finding["effect"] > 0


def test_the_spec_holds_what_is_used_and_no_more():
    claims = {"c1": {"measure": "bleu", "statement": "Otherwise."}, "correction": "bh", "alpha": 0.1, "draws": 300}
    spec = budget_spec(Plan({"analysis": {"claims": claims, "budget": {"steps": 2}}}))
    assert (spec.claims.c1.measure, spec.claims.alpha, spec.claims.draws, spec.rules.steps) == ("bleu", 0.1, 300, 2)
    assert (spec.claims.correction, spec.claims.c1.statement) == ("holm", ClaimsSpec().c1.statement)


@pytest.mark.parametrize("ratios", [(2, 4, 8), (4,)])
def test_the_steps_write_the_same_bytes_and_the_figure_shows_them(tmp_path, ratios):
    write_table(tmp_path / "rows.parquet", study(ratios), OBSERVATIONS)
    (tmp_path / "p.json").write_text(json.dumps({"predictor": None, "ranges": None}))
    style = Plan({"figures": {"style": {"dpi": 60}}}).table_figure()
    written = []
    for part in ("one", "two"):
        out = tmp_path / part
        options = ["--observations", tmp_path / "rows.parquet", "--predictor", tmp_path / "p.json"]
        options += ["--finding", out / "b.json", "--table", out / "b.csv"]
        assert main(["analysis", "budget", "--spec", SPEC.line(), *map(str, options)]) == 0
        options = ["--finding", out / "b.json", "--table", out / "b.csv"]
        options += [word for kind in ("pdf", "svg", "png", "caption") for word in (f"--{kind}", out / kind)]
        assert main(["figures", "budget", "--spec", style.line(), *map(str, options)]) == 0
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1]
    caption = written[0]["caption"].decode()
    if len(ratios) == 1:
        assert "no memory budgets: all compressors have ratio 4" in caption
    else:
        assert "4 or 8 or 16 to each" in caption and "120 passages of 60 documents, 12 banks" in caption
