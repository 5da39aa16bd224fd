import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contextpress.analysis.calibration import TABLE, TESTS
from contextpress.analysis.cramming import bucket_table, cramming_finding, side_by_side
from contextpress.analysis.dose import Doses, dose_finding, dose_table
from contextpress.analysis.hypotheses import ClaimsSpec, DecoderEntropy
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import build_panel
from contextpress.analysis.ranked import rank_correlations, varying
from contextpress.analysis.spec import CrammedDecoder, CrammingAnalysis, SpecificationSpec
from contextpress.analysis.specification import specification
from contextpress.analysis.swap import decoder_swap
from contextpress.analysis.verdicts import assess, findings
from contextpress.cli import main
from contextpress.figures import curves, decoder
from contextpress.figures.spec import (
    ClaimFigure,
    CompressorCurve,
    CrammingFigure,
    LearningCurvesFigure,
    MeasureFigure,
    ModelCurve,
    Sample,
    Style,
    TableFigure,
)
from contextpress.figures.style import interval, number
from contextpress.runtime.files import write_json
from contextpress.runtime.history import HISTORY
from contextpress.runtime.spec import Spec
from contextpress.runtime.tables import write_table
from tests.unit import fake_infusion
from tests.unit.fake_arms import PAIRS, asked, found_of, planted
from tests.unit.fake_study import crammed, generated, history, observations

STYLE, SAMPLE = Style(dpi=60), Sample(draws=100)
KINDS = ("pdf", "svg", "png", "caption")
OF_OBSERVATIONS = {
    "quality-by-bucket": None,
    "ladder": None,
    "encoder-entropy": "c1",
    "decoder-entropy": "c2",
    "grid": "c3",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = observations(("D1", "D6"), ("prose", "code"), passages=30, ladder=4, ratios=(4,))
    write_table(folder / "observations.parquet", rows, OBSERVATIONS)
    spec = ClaimsSpec(draws=100, min_passages=20)
    results = assess(rows, spec)
    for name, finding in findings(results, spec).items():
        write_json(folder / f"{name}.json", finding)
    results["c3"].tables["grid_effects"].to_csv(folder / "grid-effects.csv", index=False)
    choices = {"measures": ("token_f1", "bleu"), "encoder_entropies": ("encoder_nll", "unigram_entropy"), "draws": 60}
    table = specification(rows, SpecificationSpec(**choices))
    table.to_csv(folder / "specification.csv", index=False)
    calibrated().to_csv(folder / "calibration.csv", index=False)
    return folder


def calibrated() -> pd.DataFrame:
    """A table of rates as the calibration writes it."""
    rows = [
        [analysis, "false_positive_rate", claim, verdict, kind, share, share - 0.01, share + 0.01, 2000, 0.05]
        for analysis, share in (("clustered", 0.05), ("naive", 0.4))
        for claim, verdict, kind, _ in TESTS
    ]
    rows += [
        [analysis, "coverage", claim, "interval", kind, share, share - 0.01, share + 0.01, 1000, 0.95]
        for analysis, share in (("clustered", 0.95), ("naive", 0.4))
        for claim, kind in (("C1", "encoder"), ("C2", "bound"), ("C3", "gap"))
    ]
    return pd.DataFrame(rows, columns=TABLE)


def draw(
    study: Path, name: str, spec: Spec, *more: str, to: Path, rows: str = "observations.parquet"
) -> dict[str, Path]:
    paths = {kind: to / f"{name}.{kind}" for kind in KINDS}
    options = [option for kind, path in paths.items() for option in (f"--{kind}", str(path))]
    if name not in ("learning-curves", "cramming", "dose-response", "mitigation", "infusion"):
        options += ["--observations", str(study / rows)]
    assert main(["figures", name, "--spec", spec.line(), *more, *options]) == 0
    return paths


def of_observations(study: Path, name: str, to: Path, rows: str = "observations.parquet", **options) -> dict[str, Path]:
    finding = OF_OBSERVATIONS[name]
    if finding:
        spec: Spec = ClaimFigure(sample=SAMPLE, style=STYLE)
        return draw(study, name, spec, "--finding", str(study / f"{finding}.json"), to=to, rows=rows)
    spec = MeasureFigure(**{"measure": "token_f1", "sample": SAMPLE, "style": STYLE} | options)
    return draw(study, name, spec, to=to, rows=rows)


@pytest.mark.parametrize("name", OF_OBSERVATIONS)
def test_same_table_same_bytes(study, tmp_path, name):
    first, second = (of_observations(study, name, tmp_path / part) for part in ("one", "two"))
    for kind in KINDS:
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind
    caption = first["caption"].read_text()
    passages = "8 passages of 4 documents" if name == "ladder" else "60 passages of 30 documents"  # 4 of each domain
    assert f"{passages} in 2 domains; 8 compressors (4 pairs, 1 ratio, 2 seeds)" in caption
    assert "95 %" in caption
    # In reStructuredText these would be markup.
    assert not set("`|*") & set(caption)
    assert "_ " not in caption


OF_TABLES = {
    "specification": "8 estimates",  # two measures, entropies and scopes; one setting
    "grid-effects": "Quality per sixth of replaced data",
    "calibration": "2,000 studies",
}


def of_table(study: Path, name: str, to: Path) -> dict[str, Path]:
    paths = {kind: to / f"{name}.{kind}" for kind in KINDS}
    options = [option for kind, path in paths.items() for option in (f"--{kind}", str(path))]
    line = TableFigure(style=STYLE).line()
    assert main(["figures", name, "--spec", line, "--table", str(study / f"{name}.csv"), *options]) == 0
    return paths


@pytest.mark.parametrize("name", OF_TABLES)
def test_figures_of_tables_are_the_same_bytes_and_say_what_they_show(study, tmp_path, name):
    first, second = (of_table(study, name, tmp_path / part) for part in ("one", "two"))
    for kind in KINDS:
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind
    caption = first["caption"].read_text()
    assert OF_TABLES[name] in caption
    assert "95 %" in caption
    assert not set("`|*") & set(caption)


@pytest.mark.parametrize("name", ["specification", "grid-effects"])
def test_an_empty_table_gives_a_figure_that_says_so(study, tmp_path, name):
    columns = pd.read_csv(study / f"{name}.csv").iloc[:0]
    columns.to_csv(tmp_path / f"{name}.csv", index=False)
    assert "Nothing to draw" in of_table(tmp_path, name, tmp_path)["caption"].read_text()


def test_files_say_no_date_and_embed_truetype(study, tmp_path):
    paths = of_observations(study, "grid", tmp_path)
    pdf, svg, png = (paths[kind].read_bytes() for kind in ("pdf", "svg", "png"))
    assert b"CreationDate" not in pdf
    assert b"/Subtype /Type0" in pdf  # text as TrueType glyphs
    assert b"/Type3" not in pdf
    assert b"dc:date" not in svg
    assert b"Software" not in png
    assert png[:8] == b"\x89PNG\r\n\x1a\n"


def test_width_is_that_of_the_page_or_of_a_column(study, tmp_path):
    rows = observations(("D1",), ("prose", "code"), passages=20, ladder=0, ratios=(4,), seeds=(0,))
    write_table(study / "one.parquet", rows, OBSERVATIONS)
    narrow = of_observations(study, "quality-by-bucket", tmp_path / "one", rows="one.parquet")["png"].read_bytes()
    page = of_observations(study, "quality-by-bucket", tmp_path / "all")["png"].read_bytes()
    widths = [int.from_bytes(png[16:20], "big") for png in (narrow, page)]
    assert widths == [round(3.4 * STYLE.dpi), round(7.0 * STYLE.dpi)]


@pytest.mark.parametrize("name", OF_OBSERVATIONS)
@pytest.mark.parametrize("measure", ["nll", "bleu"])
def test_a_study_without_memory_or_ladder_is_drawn_all_the_same(study, tmp_path, name, measure):
    rows = observations(("D1", "D6"), ("prose",), passages=10, ladder=0, ratios=(4,), used=False)
    write_table(study / "unused.parquet", rows, OBSERVATIONS)
    paths = of_observations(study, name, tmp_path, rows="unused.parquet", measure=measure)
    assert all(path.stat().st_size for path in paths.values())
    if name in ("quality-by-bucket", "encoder-entropy", "decoder-entropy"):
        assert "no compressor of the study uses its memory" in paths["caption"].read_text()


def test_unknown_measure_is_refused_in_one_line(study, tmp_path, capsys):
    line = json.dumps({"measure": "f1", "sample": {}, "style": {}})
    paths = [part for kind in KINDS for part in (f"--{kind}", str(tmp_path / kind))]
    options = ["--spec", line, "--observations", str(study / "observations.parquet"), *paths]
    assert main(["figures", "ladder", *options]) == 2
    assert 'measure is "f1"' in capsys.readouterr().err


def curve_files(folder: Path, count: int, steps: int = 120) -> list[str]:
    paths = []
    for index in range(count):
        paths.append(str(folder / f"history{count}-{index}.parquet"))
        write_table(Path(paths[-1]), history(steps, 3.6, 1.0, 0.3, index), HISTORY)
    return paths


def test_learning_curves_same_bytes(study, tmp_path):
    pairs = [("D1", "D1"), ("D1", "D6"), ("D6", "D1"), ("D6", "D6")]
    spec = LearningCurvesFigure(
        compressors=tuple(
            CompressorCurve(encoder=e, decoder=d, ratio=ratio, seed=0, matched=e == d)
            for e, d in pairs
            for ratio in (4, 8)
        ),
        models=(ModelCurve(model="D1", seed=0), ModelCurve(model="D6", seed=0)),
        style=STYLE,
    )
    more = ["--compressors", *curve_files(tmp_path, 8), "--models", *curve_files(tmp_path, 2)]
    first, second = (draw(study, "learning-curves", spec, *more, to=tmp_path / part) for part in ("one", "two"))
    for kind in KINDS:
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind
    assert "8 compressors" in first["caption"].read_text()


@pytest.mark.parametrize("passages", [20, 0])
def test_cramming_same_bytes(study, tmp_path, passages):
    rows = observations(("D1", "D6"), ("prose", "code"), passages=30, ladder=0, ratios=(4,))
    roles = [
        CrammedDecoder(decoder=name, seed=seed, model=f"{name}-s{seed ^ 1}") for name in ("D1", "D6") for seed in (0, 1)
    ]
    spec = CrammingAnalysis(decoders=roles, claims=ClaimsSpec(draws=100, natural_only=passages > 0))
    both = side_by_side(rows, crammed(rows, passages=20), spec)
    if not passages:  # no passage was read by all
        both = both[(both["readout"] == "crammed") ^ (both["domain"] == "code")]
    write_json(tmp_path / "cramming.json", cramming_finding(both, spec))
    bucket_table(both, spec).to_csv(tmp_path / "cramming.csv", index=False)
    more = ["--table", str(tmp_path / "cramming.csv"), "--finding", str(tmp_path / "cramming.json")]
    drawn = [draw(study, "cramming", CrammingFigure(style=STYLE), *more, to=tmp_path / part) for part in ("one", "two")]
    for kind in KINDS:
        assert drawn[0][kind].read_bytes() == drawn[1][kind].read_bytes(), kind
    caption = drawn[0]["caption"].read_text()
    assert ("40 passages of 20 documents in 2 domains" if passages else "Nothing to draw") in caption
    assert not set("`|*") & set(caption)


@pytest.mark.parametrize(
    ("domains", "measure", "says"),
    [
        (("prose", "apiref", "code", "tests", "config"), "token_f1", "per nat over 4 domains (markov): −0.20"),
        (("prose", "apiref", "code"), "nll", "per nat over 3 domains (all): "),
        (("prose", "tables"), "token_f1", "family. 24 passages of 12 documents in 2 domains; 8 compressors."),
        ((), "token_f1", "Nothing to draw: no compressor that uses its memory read text of known entropy"),
    ],
)
def test_dose_response_same_bytes(study, tmp_path, domains, measure, says):
    spec = ClaimsSpec(draws=100, min_passages=20, c1={"measure": measure})
    rows = generated(12, (4,), domains) if domains else observations(("D1",), ("prose",), 12, 0, (4,))
    doses = Doses.of(rows, spec)
    write_json(tmp_path / "dose.json", dose_finding(doses, spec))
    dose_table(doses).to_csv(tmp_path / "dose.csv", index=False)
    more = ["--table", str(tmp_path / "dose.csv"), "--finding", str(tmp_path / "dose.json")]
    drawn = [draw(study, "dose-response", TableFigure(style=STYLE), *more, to=tmp_path / part) for part in "ab"]
    for kind in KINDS:
        assert drawn[0][kind].read_bytes() == drawn[1][kind].read_bytes(), kind
    caption = drawn[0]["caption"].read_text()
    assert says in caption
    assert not set("`|*_") & set(caption)


@pytest.mark.parametrize(
    ("pairs", "gap", "says"),
    [
        (PAIRS, 0.1, "is contradicted: mitigated by decoder full."),
        (PAIRS[:1], 0.1, "72 passages of 24 documents, 3 seeds"),
        (PAIRS, -0.1, "Nothing to draw: no gap is shown to close: -0.09"),
    ],
    ids=["two pairs", "one pair", "no gap"],
)
def test_mitigation_same_bytes(study, tmp_path, pairs, gap, says):
    spec = asked(["decoder_full", "larger_decoder"], pairs=pairs)
    quality = planted(2, decoder_full=0.08, larger_decoder=0.01)
    finding, table = found_of(tmp_path, spec, lambda cell, count: np.sign(gap) * quality(cell, count))
    write_json(tmp_path / "mitigation.json", finding)
    table.to_csv(tmp_path / "arms.csv", index=False)
    more = ["--table", str(tmp_path / "arms.csv"), "--finding", str(tmp_path / "mitigation.json")]
    drawn = [draw(study, "mitigation", TableFigure(style=STYLE), *more, to=tmp_path / part) for part in "ab"]
    for kind in KINDS:
        assert drawn[0][kind].read_bytes() == drawn[1][kind].read_bytes(), kind
    caption = drawn[0]["caption"].read_text()
    assert says in caption
    assert not set("`|*_") & set(caption)


@pytest.mark.parametrize(
    ("sizes", "lost", "says"),
    [
        (("base",), (0, 0.03, 0.08, 0.4), "after 400 and up to 900 tokens (base)"),
        (("base", "large"), (0, 0, 0, 0), "none up to 900 tokens (base); none up to 900 tokens (large)"),
    ],
)
def test_infusion_same_bytes(study, tmp_path, sizes, lost, says):
    gains = (0, 0.01, 0.02, 0.03)
    finding, table = fake_infusion.found_of(tmp_path, fake_infusion.asked(sizes), gains=gains, lost=lost)
    write_json(tmp_path / "infusion.json", finding)
    table.to_csv(tmp_path / "infusion.csv", index=False)
    more = ["--table", str(tmp_path / "infusion.csv"), "--finding", str(tmp_path / "infusion.json")]
    drawn = [draw(study, "infusion", TableFigure(style=STYLE), *more, to=tmp_path / part) for part in "ab"]
    for kind in KINDS:
        assert drawn[0][kind].read_bytes() == drawn[1][kind].read_bytes(), kind
    caption = drawn[0]["caption"].read_text()
    assert says in caption
    assert "(D1 to D6)" in caption
    assert not set("`|*_") & set(caption)


def test_smooth_keeps_the_mean_and_the_range():
    frame = history(1000, 4.0, 1.0, 0.3, 0)
    steps, losses = curves.smooth(frame)
    assert len(steps) == curves.POINTS
    assert steps[0] == pytest.approx(4.5)
    assert losses[0] == pytest.approx(frame["loss"].iloc[:10].mean())
    assert losses[-1] == pytest.approx(frame["loss"].iloc[-10:].mean())


def test_partial_residuals_correlate_as_the_claim_is_tested():
    rows = observations(("D1", "D6"), ("prose", "code"), passages=40, ladder=0, ratios=(4,))
    panel, hypothesis = build_panel(rows, ClaimsSpec()), DecoderEntropy()
    x, y = decoder.partial_residuals(panel, hypothesis)
    controls = varying(panel, [panel.values(name) for name in hypothesis.controls])
    ones = np.ones((len(panel.passages), 1))
    values = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    wanted = rank_correlations(panel, ones, *values, controls).partial[:, 0]
    # Where encoder and decoder are one model, decoder entropy has nothing left to say.
    assert np.isnan(wanted).sum() == 4
    assert (x * y).mean(0) == pytest.approx(wanted, nan_ok=True)


def test_swap_residuals_correlate_as_the_claim_is_tested():
    rows = observations(("D1", "D6"), ("prose", "code"), passages=40, ladder=0, ratios=(4,))
    panel, hypothesis = build_panel(rows, ClaimsSpec()), DecoderEntropy()
    x, y = decoder.swap_residuals(panel, hypothesis)
    values = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    swap = decoder_swap(panel, np.ones((len(panel.passages), 1)), *values, per_domain=True)
    assert (x * y).mean() == pytest.approx(swap.correlation.mean())


def test_numbers():
    assert number(-0.001) == "0.00"
    assert number(-0.5) == "−0.50"
    assert interval(0.5, [0.25, 0.75]) == "0.50 [0.25, 0.75]"
    assert interval(0.5, [None, None]) == "0.50"
    assert interval(None, [None, None]) == "not known"
