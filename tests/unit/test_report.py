import base64
import re
from itertools import pairwise
from pathlib import Path

import pytest

from contextpress.analysis.dose import Doses, dose_finding
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.ladder import ladder
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.spec import SpecificationSpec
from contextpress.analysis.specification import specification
from contextpress.analysis.verdicts import assess, findings
from contextpress.cli import main
from contextpress.report import markdown
from contextpress.report.claims import AGREEMENT
from contextpress.report.page import fragment, page
from contextpress.report.records import cost, versions
from contextpress.report.spec import CLAIMS_OF_FIGURES, SummarySpec
from contextpress.report.summary import verdicts
from contextpress.runtime.files import read_json, write_json, write_text
from contextpress.runtime.tables import read_table, write_table
from tests.unit import fake_infusion
from tests.unit.fake_arms import asked, found_of, planted
from tests.unit.fake_study import generated, observations

ORDER = tuple(CLAIMS_OF_FIGURES)
TRAINED = {
    "command": ["compressor", "train"],
    "source": {"revision": "abc123", "changed": False},
    "python": "3.11.7",
    "machine": "x86_64",
    "packages": {"torch": "2.0"},
    "device": "cpu",
    "seconds": 100.0,
    "tokens_per_second": 500,
}
READ = TRAINED | {
    "command": ["reconstruction", "reconstruct"],
    "device": None,
    "tokens_per_second": None,
    "seconds": 50.0,
    "positions": 100_000,
    "signatures": {"bleu": "sentence|v:2"},
}


@pytest.fixture
def study(tmp_path):
    rows = observations(("D1", "D6"), ("prose", "code"), passages=20, ladder=2, ratios=(4, 8))
    rows.loc[(rows["encoder"] == "D1") & (rows["decoder"] == "D6") & (rows["ratio"] == 8), "memory_used"] = False
    write_table(tmp_path / "observations.parquet", rows, OBSERVATIONS)
    spec = ClaimsSpec(draws=100, min_passages=20)
    for name, finding in findings(assess(rows, spec), spec).items():
        write_json(tmp_path / "findings" / f"{name}.json", finding)
    for name in reversed(ORDER):
        write_text(tmp_path / "figures" / f"{name}.rst", f"Caption of {name}.\n")
        write_text(tmp_path / "figures" / f"{name}.svg", f"<svg>{name}</svg>")
    for index, record in enumerate([TRAINED, TRAINED | {"seconds": 20.0}, READ]):
        write_json(tmp_path / "records" / f"{index}.json", record)
    return tmp_path


def write(study: Path, output: Path, domain: str = "prose", practice: tuple[Path, ...] = ()) -> str:
    def files(folder: str, pattern: str) -> list[str]:
        return [str(path) for path in sorted((study / folder).glob(pattern))]

    captions = files("figures", "*.rst")
    options = {
        "--findings": files("findings", "*.json"),
        "--practice": [str(path) for path in practice],
        "--figures": [caption.replace(".rst", ".png") for caption in captions],
        "--captions": captions,
        "--drawings": files("figures", "*.svg"),
        "--page": [str(output.with_suffix(".html"))],
        "--table": [str(output.with_name("verdicts.html"))],
        "--records": files("records", "*.json"),
    }
    more = [part for flag, values in options.items() for part in (flag, *values)]
    line = SummarySpec(study="tried", domain=domain).line()
    table = str(study / "observations.parquet")
    assert main(["report", "summary", "--spec", line, "--observations", table, *more, "--output", str(output)]) == 0
    return output.read_text()


def findings_at_length(
    study: Path,
    output: Path,
    *dose_response: Path,
    mitigation: tuple[Path, ...] = (),
    infusion: tuple[Path, ...] = (),
    probe: tuple[Path, ...] = (),
) -> str:
    rows = read_table(study / "observations.parquet", OBSERVATIONS)
    spec = ClaimsSpec(draws=100, min_passages=20)
    assess(rows, spec)["c3"].tables["grid_effects"].to_csv(study / "grid_effects.csv", index=False)
    choices = SpecificationSpec(measures=("token_f1",), encoder_entropies=("encoder_nll",), claims=spec, draws=60)
    specification(rows, choices).to_csv(study / "specification.csv", index=False)
    ladder(rows, spec).to_csv(study / "ladder.csv", index=False)
    partial = {"encoder": {"partial": {"value": -0.01, "ci95": [-0.1, 0.1]}}}
    partial["decoder"] = {"partial": {"value": -0.31, "ci95": [-0.4, -0.2]}, "swap": None}
    bound = {"question": "Which?", "answer": "decoder entropy", "reason": None, "rule": "By rule.", "note": "A note."}
    bound["vectors"] = {"1": {"correlations": {"tokens_exact": partial | {"decoder_minus_encoder": None}}}}
    bound["vectors"]["1"]["decoders"] = {"D1": {"tokens_exact": 12.5, "nats_held": 70.5}}
    bound["efficiency"] = [{"readout": "mean_pool", "ratio": 4, "bound_vectors": 1, "value": 0.2, "ci95": [0.1, 0.3]}]
    write_json(study / "cramming.csv", bound)
    names = ("grid_effects", "specification", "ladder", "cramming")
    options = [part for name in names for part in (name, f"{name}.csv")]
    options = [
        f"--{part.replace('_', '-')}" if index % 2 == 0 else str(study / part) for index, part in enumerate(options)
    ]
    options += ["--dose-response", *map(str, dose_response), "--mitigation", *map(str, mitigation)]
    options += ["--infusion", *map(str, infusion), "--probe", *map(str, probe)]
    found = ["--findings", *(str(path) for path in sorted((study / "findings").glob("*.json")))]
    table = ["--observations", str(study / "observations.parquet")]
    line = SummarySpec(study="tried").line()
    out = ["--output", str(output), "--page", str(output.with_suffix(".html"))]
    assert main(["report", "findings", "--spec", line, *table, *found, *options, *out]) == 0
    return output.read_text()


def test_findings_stand_beside_the_papers_numbers_which_are_marked_as_its_own(study):
    text = findings_at_length(study, study / "findings.md")
    assert text == findings_at_length(study, study / "again.md")
    sections = [line for line in text.splitlines() if line.startswith("## ")]
    assert [line[3:5] for line in sections[:3]] == ["C1", "C2", "C3"]
    for finding in (read_json(path) for path in (study / "findings").glob("*.json")):
        assert f"**{finding['verdict'].capitalize()}**: {finding['reason']}" in text
        assert f"- {finding['claim']} {AGREEMENT[finding['verdict']]}" in text
    # Wherever a number of the paper stands, its row, column or sentence says whose it is.
    for line in text.splitlines():
        if any(told in line for told in ("81.57", "69.44", "42.12", "96.96")):
            assert "500M" in line or "the paper's" in line, line
    assert "the paper's F1" in text
    assert "second hand" in text
    assert "ICAE" in text
    assert "**Decoder entropy**. By rule." in text
    assert "| tokens exact | −0.01 [−0.1, 0.1] | −0.31 [−0.4, −0.2] | not known | not known |" in text
    assert "decoder D1: 12.5 tokens reproduced, 70.5 nats held" in text
    assert "mean pool, ratio 4: 0.2 [0.1, 0.3] of the nats per vector" in text
    assert "4,866" in text and "arXiv 2502.13063, second hand" in text


def test_findings_measure_what_they_say(study):
    text = findings_at_length(study, study / "findings.md")
    rows = read_table(study / "observations.parquet", OBSERVATIONS)
    cell = rows[(rows["encoder"] == "D1") & (rows["decoder"] == "D6") & (rows["variant"] == "normal")]
    cell = cell[cell["ratio"] == 4]
    line = next(line for line in text.splitlines() if line.startswith("| D1 + D6, memory tokens, ratio 4"))
    assert f"| {100 * cell['token_f1'].mean():.1f} | {cell['bleu'].mean():.1f} |" in line


def test_the_true_entropy_rate_has_a_section_where_text_was_generated(study):
    spec = ClaimsSpec(draws=100)
    finding = dose_finding(Doses.of(generated(), spec), spec)
    write_json(study / "dose.json", finding)
    text = findings_at_length(study, study / "findings.md", study / "dose.json")
    section = text.split("## The true entropy rate\n\n")[1].split("\n## ")[0]
    assert section.startswith(f"*{finding['question']}*\n\n**Quality falls**. Effect −0.2")
    rows = [line for line in section.splitlines() if line.startswith("| markov, 4 domains | 4 | token f1 | −0.2")]
    assert len(rows) == 1
    assert rows[0].endswith(" | −1 | 3 of 3 |")
    assert "- encoder entropy: 0.3" in section
    assert "told apart: yes" in section
    assert "The true entropy rate" not in findings_at_length(study, study / "without.md")


def test_what_the_arms_close_stands_after_the_gap(study, tmp_path):
    finding, _ = found_of(tmp_path, asked(["decoder_full"]), planted(2, decoder_full=0.08))
    write_json(tmp_path / "mitigation.json", finding)
    text = findings_at_length(study, study / "findings.md", mitigation=(tmp_path / "mitigation.json",))
    after = text.split("## C3")[1].split("## ")
    assert after[1].startswith("Is the gap hard to mitigate?")
    assert "**Contradicted**: mitigated by decoder full." in after[1]
    row = next(line for line in after[1].splitlines() if line.startswith("| decoder full |"))
    assert row.endswith("| mitigates |")
    assert "hard to mitigate" not in findings_at_length(study, study / "without.md")


ANSWERED = {
    "statement": "Questions are answered.",
    "effect": 0.21,
    "ci95": [0.1, 0.3],
    "effect_name": "share of questions",
    "n": 2400,
    "clusters": 46,
    "verdict": "supported",
    "reason": "the difference is positive, in every seed",
    "rule": "By rule.",
    "measure_of_words": "token_f1",
    "accuracy": {
        "all": {
            "questions": 1200.0,
            **{
                base: {"value": value, "ci95": [value - 0.05, value + 0.05]}
                for base, value in (("text", 0.91), ("memory", 0.41), ("shuffled", 0.11), ("nothing", 0.12))
            },
        }
    },
    "correlation": {name: {"value": 0.4, "ci95": [0.2, 0.6]} for name in ("over_records", "over_compressors")},
    "claims": {
        "c1": {
            side: {"effect": effect, "ci95": [effect - 0.1, effect + 0.1], "verdict": verdict}
            for side, effect, verdict in (("words", -0.3, "supported"), ("answers", 0.01, "inconclusive"))
        }
    },
}


def test_answers_stand_in_the_findings_and_in_the_summary(study, tmp_path):
    write_json(tmp_path / "probe.json", ANSWERED)
    text = findings_at_length(study, study / "findings.md", probe=(tmp_path / "probe.json",))
    section = text.split("## Does meaning survive where words do not?\n\n")[1].split("\n## ")[0]
    assert "**Supported**: the difference is positive, in every seed. 0.21 [0.1, 0.3]" in section
    cells = ["all", "1,200", *(f"{v} [{v - 0.05:.3g}, {v + 0.05:.3g}]" for v in (0.91, 0.41, 0.11, 0.12))]
    assert f"| {' | '.join(cells)} |" in section
    assert "| C1 | −0.3 [−0.4, −0.2], supported | 0.01 [−0.09, 0.11], inconclusive |" in section
    assert "Does meaning" not in findings_at_length(study, study / "without.md")
    told = write(study, study / "summary.md", practice=(tmp_path / "probe.json",)).split("## Figures")[0]
    assert "| Questions are answered. | 0.21 [0.1, 0.3] | 2,400 | 46 | **supported** |" in told
    assert "- Share of questions. The difference is positive, in every seed." in told
    assert "in practice" not in write(study, study / "summary.md")


def test_verdicts_come_first_and_figures_in_the_order_of_the_claims(study):
    text = write(study, study / "summary.md")
    places = [text.index(part) for part in ("## Verdicts", "| C1 |", "| C2 |", "| C3 |", "## Figures")]
    assert places == sorted(places)
    shown = [text.index(f"](figures/{name}.png)") for name in ORDER]
    assert shown == sorted(shown)
    assert all(f"Caption of {name}." in text for name in ORDER)
    assert text.index("## Figures") < shown[0]


def test_figures_are_found_from_where_the_summary_lies(study):
    text = write(study, study / "deep" / "summary.md")
    assert "](../figures/grid.png)" in text


def test_the_summary_tells_what_was_run_learned_and_left_out(study):
    text = write(study, study / "summary.md")
    assert "encoders: D1, D6" in text
    assert "compressors: 16" in text
    assert "passages: 40 of 20 documents (code 20, prose 20), 32 tokens each" in text
    assert "disturbed passages of the control ladder: 16" in text
    assert "2 of 16 compressors; the claims leave them out." in text
    assert "| D1 | D6 | memory tokens | 8 |" not in text
    assert "| D1 | D6 | memory_tokens | 8 | frozen | 1 |" in text
    assert "domain prose, mean over passages and seeds" in text
    assert "accuracy" in text


def test_the_page_is_the_summary_and_loads_nothing(study):
    text = write(study, study / "summary.md")
    shown = (study / "summary.html").read_text()
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert re.findall("<h2>(.*)</h2>", shown) == titles
    sources = re.findall('<img src="([^"]*)"', shown)
    drawn = [base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode() for source in sources]
    assert drawn == [f"<svg>{name}</svg>" for name in ORDER]
    assert not re.search('(?:src|href)="(?!data:)', shown)
    table = (study / "verdicts.html").read_text()
    assert table in shown
    assert table.count("<tr>") == 4
    assert "<title>Findings of study tried</title>" in page("Findings of study tried", "")


def test_text_of_a_page_is_never_markup():
    assert fragment("a <script>alert(1)</script> & b") == "<p>a &lt;script&gt;alert(1)&lt;/script&gt; &amp; b</p>\n"
    assert "<title>&lt;b&gt;</title>" in page("<b>", "")
    with pytest.raises(KeyError, match="grid"):
        fragment("![grid](figures/grid.png)", {"ladder": b""})


def test_a_domain_the_study_lacks_gives_way_to_all(study):
    assert "same data, all domains" in write(study, study / "summary.md", domain="law")


def test_same_inputs_same_text(study):
    assert write(study, study / "one.md") == write(study, study / "two.md")


def test_tables_are_well_formed(study):
    lines = write(study, study / "summary.md").splitlines()
    for first, second in pairwise(lines):
        if first.startswith("|") and second.startswith("|"):
            assert first.replace("\\|", "").count("|") == second.replace("\\|", "").count("|")


def test_a_figure_without_caption_is_refused(study, capsys):
    (study / "figures" / "grid.rst").unlink()
    table, png = str(study / "observations.parquet"), str(study / "figures" / "grid.png")
    finding, record = str(study / "findings" / "c1.json"), str(study / "records" / "0.json")
    options = ["--findings", finding, "--figures", png, "--records", record, "--output", str(study / "s.md")]
    options += ["--practice", "--captions", str(study / "figures" / "ladder.rst"), "--observations", table]
    options += ["--drawings", png, "--page", str(study / "s.html"), "--table", str(study / "v.html")]
    assert main(["report", "summary", "--spec", SummarySpec(study="tried").line(), *options]) == 2
    assert "figure grid.png has no caption" in capsys.readouterr().err


def test_cost_adds_up_by_stage():
    text = cost([TRAINED, TRAINED | {"seconds": 20.0}, READ])
    assert "| compressor train | 2 | 2 min | 500 |" in text
    assert "| reconstruction reconstruct | 1 | 50 s | 2,000 |" in text
    assert "| all | 3 | 3 min |" in text


def test_versions_tell_all_values_of_a_study_made_in_several_goes():
    text = versions([TRAINED, READ | {"source": {"revision": "def456", "changed": True}, "python": "3.12.1"}])
    assert "source: abc123, def456 with changes not committed" in text
    assert "Python: 3.11.7, 3.12.1" in text
    assert "bleu: `sentence|v:2`" in text
    assert "device: cpu" in text
    assert "source: not recorded" in versions([{}])


def test_an_unknown_effect_is_told_as_such():
    finding = {
        "claim": "C3",
        "statement": "x | y",
        "effect": None,
        "ci95": [None, None],
        "effect_name": "slope",
        "p_adjusted": None,
        "n": 0,
        "clusters": 0,
        "verdict": "inconclusive",
        "reason": "too few cells",
        "family": {"correction": "holm", "alpha": 0.05, "members": ["C3"], "bootstrap_draws": 100, "cluster": "source"},
    }
    text = verdicts([finding], [])
    assert "| C3 | x \\| y | not known | not known | 0 | 0 | **inconclusive** |" in text
    assert "- C3: slope. Too few cells." in text
    assert "bootstrap of source files" in text


def test_pieces():
    assert markdown.number(-0.0123456) == "−0.0123"
    assert markdown.p_value(0.0001) == "< 0.001"
    assert markdown.p_value(0.25) == "0.250"
    assert markdown.duration(59.6) == "60 s"
    assert markdown.duration(3 * 3600 + 61) == "3 h 1 min"


def test_what_infusion_does_has_a_section_where_it_was_tried(study, tmp_path):
    lost = {"base": (0, 0.03, 0.3, 0.4), "large": (0, 0.03, 0.06, 0.4)}
    spec = fake_infusion.asked(("base", "large"))
    finding, _ = fake_infusion.found_of(tmp_path, spec, gains=(0, 0.01, 0.02, 0.03), lost=lost)
    write_json(tmp_path / "infusion.json", finding)
    text = findings_at_length(study, study / "findings.md", infusion=(tmp_path / "infusion.json",))
    section = text.split("## What does the decoder's corpus do to an encoder?")[1].split("\n## ")[0]
    assert f"**Supported**: {finding['reason']}. {finding['effect']:.3g} [" in section
    assert "| large: 900 | 1 | 0.03" in section
    assert "- collapse point of encoder base, after 100 and up to 400 tokens" in section
    assert "by the same dose no, by the same tokens per weight yes" in section
    assert "corpus do to" not in findings_at_length(study, study / "without.md")
