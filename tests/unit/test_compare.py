"""``contextpress compare``: studies by name, by folder and by bundle; its page; and what it refuses."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import tarfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.verdicts import assess, findings
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.runtime.files import write_json, write_text
from contextpress.runtime.tables import write_table
from tests.unit.browser import CHROMIUM, Browser
from tests.unit.fake_study import observations

README = Path(__file__).resolve().parents[2] / "README.md"
HOSTILE = "</td><script>window.broken = 1</script><img src='http://example.org/x'>"
DRAWING = "<svg xmlns='http://www.w3.org/2000/svg'><script>window.broken = 1</script><rect width='9' height='9'/></svg>"
RECORD = {"source": {"revision": "abc123", "changed": False}, "python": "3.11.7", "packages": {"torch": "2.0"}}


def finished(folder: Path, rows, revision: str = "abc123", **config: object) -> None:
    """What a comparison reads of a finished study."""
    line = Plan({"study": folder.name, **config}).config().line()
    assert main(["report", "config", "--spec", line, "--output", str(folder / "config.json")]) == 0
    spec = ClaimsSpec(draws=100, min_passages=20)
    for name, finding in findings(assess(rows, spec), spec).items():
        write_json(folder / f"findings/{name}.json", finding | {"statement": f"{finding['statement']} {HOSTILE}"})
    write_json(folder / "findings/cramming.json", {"question": f"Which? {HOSTILE}", "answer": "decoder entropy"})
    write_table(folder / "tables/observations.parquet", rows, OBSERVATIONS)
    write_text(folder / "figures/grid.svg", DRAWING)
    write_text(folder / "figures/grid.rst", f"Caption. {HOSTILE}\n")
    write_json(folder / "lm/D1-s0/record.json", RECORD | {"source": {"revision": revision, "changed": True}})
    (folder / "logs").mkdir()


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A project with two finished studies, of which the second has one ratio less and figures of its own."""
    project = tmp_path_factory.mktemp("project")
    rows = observations(("D1", "D6"), ("prose", "code"), passages=20, ladder=2, ratios=(4, 8))
    finished(project / "results/default", rows)
    finished(
        project / "results/mine",
        rows[rows["ratio"] == 4].assign(token_f1=rows["token_f1"] * 0.9),
        revision="def456",
        compressor={"ratios": [4]},
        figures={"measure": "bleu"},
    )
    write_text(project / "results/mine/figures/odd<i>.svg", DRAWING)
    return project


@pytest.fixture
def project(studies, tmp_path, monkeypatch):
    """A copy of the project to work in."""
    shutil.copytree(studies, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def bundle(project: Path, name: str) -> Path:
    note = base64.urlsafe_b64encode(f"results/{name}/config.json".encode()).decode()
    write_json(project / ".snakemake/metadata" / note, {"endtime": 1.0})
    path = project / f"{name}.tar.gz"
    options = ["--records", ".snakemake/metadata", "--output", path]
    assert run("report", "bundle", "--study", f"results/{name}", *options) == 0
    return path


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_names_folders_and_bundles_give_the_same_page(project, capsys):
    packed = bundle(project, "mine")
    pages, told = [], []
    for name in ("mine", "results/mine", project / "results/mine", packed):
        assert run("compare", "default", name, "--output", "out/page.html") == 0
        pages.append((project / "out/page.html").read_text().replace(f"<td>{name}</td>", "<td>B</td>"))
        told.append(capsys.readouterr().out.replace(f"B: mine ({name})", "B: mine (B)"))
    assert len(set(pages)) == len(set(told)) == 1
    assert [path.name for path in (project / "out").iterdir()] == ["page.html"]


def test_a_terminal_shows_keys_claims_verdicts_and_means(project, capsys):
    assert run("compare", "default", "mine") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["A: default (default)", "B: mine (mine)"]
    cells = [re.split(r"  +", line) for line in lines]
    assert ["study", '"default"', '"mine"'] in cells
    assert ["compressor.ratios", "[2, 4]", "[4]"] in cells
    assert ["figures.measure", '"token_f1"', '"bleu"'] in cells
    assert sum(line[0].startswith("figures.") for line in cells) == 1
    stored = [json.loads((project / f"results/{name}/findings/c1.json").read_text()) for name in ("default", "mine")]
    (claim,) = [line for line in cells if line[0] == "c1"]
    assert claim[-2:] == [finding["verdict"] for finding in stored]
    for cell, finding in zip(claim[1:3], stored, strict=True):
        assert cell.startswith(f"{finding['effect']:.3g}".replace("-", "−") + " [")
    assert ["cramming", "–", "–", "–", "decoder entropy", "decoder entropy"] in cells
    means = {line[0]: line[1:] for line in cells if line[0].startswith("token ")}
    assert list(means) == [
        f"token {name}, memory tokens, ratio {ratio}" for name in ("accuracy", "F1") for ratio in (4, 8)
    ]
    assert means["token F1, memory tokens, ratio 8"][1:] == ["–", "–"]
    assert means["token accuracy, memory tokens, ratio 4"][2].startswith("0 [")
    assert means["token F1, memory tokens, ratio 4"][2].startswith("−0.0")
    assert lines[-1] == "figures and all else: compare.html"


def test_many_changed_keys_are_cut_short_in_a_terminal_and_whole_in_the_page(project, capsys):
    values = json.loads((project / "results/mine/config.json").read_text())
    values["corpus"]["domains"] = [{"name": f"d{n:02}", "text": "x" * 100} for n in range(30)]
    write_json(project / "results/mine/config.json", values)
    assert run("compare", "default", "mine") == 0
    told = capsys.readouterr().out
    assert re.search(r"^and \d+ keys more$", told, re.MULTILINE)
    assert "x" * 60 not in told
    assert "x" * 100 in (project / "compare.html").read_text()


def test_the_page_holds_all_and_says_what_its_intervals_take_for_granted(project):
    assert run("compare", "default", "mine") == 0
    page = Tags((project / "compare.html").read_text())
    text = " ".join(page.text.split())
    for said in ("compressor.ratios", "independent", "20 of 20 in A and 20 in B", "abc123", "def456", "−0.0"):
        assert said in text, said
    images = [attributes for tag, attributes in page.found if tag == "img"]
    assert [image["alt"] for image in images] == ["grid, study A", "grid, study B", "odd<i>, study B"]
    for image in images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(data).decode() == DRAWING


def test_nothing_of_a_study_becomes_markup_or_moves_the_cursor_and_nothing_is_loaded(project, capsys):
    values = json.loads((project / "results/mine/config.json").read_text())
    values |= {"study": f"{HOSTILE}\x1b[2J\ud800", "corpus": {HOSTILE: HOSTILE, "\x9b": "\u202e"}}
    (project / "results/mine/config.json").write_text(json.dumps(values))
    assert run("compare", "default", "mine") == 0
    told = capsys.readouterr().out
    assert "\\x1b[2J\\ud800 (mine)" in told
    assert told.replace("\n", "").isprintable()
    page = Tags((project / "compare.html").read_text())
    assert not {tag for tag, _ in page.found} & {"script", "iframe", "object", "embed", "link", "base", "form", "a"}
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    assert all(attributes["src"].startswith("data:") for tag, attributes in page.found if tag == "img")
    assert HOSTILE in page.text
    (policy,) = [known["content"] for _, known in page.found if known.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or chromium-browser, which is not installed")
def test_the_page_opens_in_a_browser_without_a_complaint(project, tmp_path):
    assert run("compare", "default", "mine") == 0
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(project / "compare.html")
        browser.until("Array.from(document.images).every((image) => image.complete && image.naturalWidth)")
        assert browser.ask("window.broken === undefined")
        assert browser.ask("document.images.length") == 3
        sent = [request for request in browser.requests if not request.startswith("data:")]
        assert (browser.problems, len(sent)) == ([], 1)
    finally:
        browser.close()


# -- what is refused


def refused(capsys, *arguments: object) -> str:
    assert run("compare", *arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("contextpress: ") and told.err.count("\n") == 1
    return told.err


def test_a_study_that_is_not_there_is_told_with_those_that_are(project, capsys):
    told = refused(capsys, "default", "yours")
    assert "there is no study yours; studies in" in told
    assert told.endswith(": default, mine\n")
    assert not (project / "compare.html").exists()


@pytest.mark.parametrize("lost", ["config.json", "findings/c2.json", "tables/observations.parquet"])
def test_a_study_that_is_not_finished_is_told(project, capsys, lost):
    (project / "results/mine" / lost).unlink()
    assert f"study mine is not finished: it has no {lost}" in refused(capsys, "default", "mine")
    packed = bundle(project, "default")
    with tarfile.open(packed) as whole, tarfile.open(project / "less.tar.gz", "w:gz") as less:
        for member in whole.getmembers():
            if not member.name.endswith(lost):
                less.addfile(member, whole.extractfile(member) if member.isfile() else None)
    assert f"study less.tar.gz is not finished: it has no {lost}" in refused(capsys, "less.tar.gz", "default")


def test_a_file_that_is_no_bundle_is_told(project, capsys):
    (project / "notes.txt").write_text("text\n")
    assert "notes.txt cannot be read as the bundle of a study" in refused(capsys, "default", "notes.txt")
    with tarfile.open(project / "bad.tar.gz", "w:gz") as archive:
        archive.add(project / "notes.txt", "../escaped")
    assert "bad.tar.gz is no bundle of a study: ../escaped" in refused(capsys, "bad.tar.gz", "default")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("config.json", "{", "config.json cannot be read as JSON"),
        ("config.json", "[1]", "config.json cannot be read as the config of a study"),
        ("findings/c1.json", "[]", "findings/c1.json is no finding of a study: all of it"),
        ("findings/c1.json", '{"effect": "high"}', "findings/c1.json is no finding of a study: effect"),
        ("findings/c1.json", '{"ci95": [1]}', "findings/c1.json is no finding of a study: ci95.1"),
        ("tables/observations.parquet", "no table", "tables/observations.parquet cannot be read as Parquet"),
        ("lm/D1-s0/record.json", "[]", "lm/D1-s0/record.json cannot be read as a run record"),
        ("lm/D1-s0/record.json", '{"source": {"revision": 1}}', "record.json cannot be read as a run record"),
    ],
)
def test_a_damaged_file_is_told_in_a_folder_and_in_a_bundle(project, capsys, name, text, says):
    (project / "results/mine" / name).write_text(text)
    assert says in refused(capsys, "default", "mine")
    told = refused(capsys, "default", bundle(project, "mine"))
    assert f"mine.tar.gz/{name}" in told
    assert says in told


def test_a_page_that_cannot_be_written_is_told(project, capsys):
    (project / "file").touch()
    assert "file/page.html cannot be written" in refused(capsys, "default", "mine", "--output", "file/page.html")


# -- the README


def test_the_readmes_examples_work_as_written(project, capsys):
    section = README.read_text().partition("## Compare and share")[2].partition("\n## ")[0]
    lines = re.findall(r"^    contextpress (compare .*?)#", section, re.MULTILINE)
    assert len(lines) == 1
    assert run(*shlex.split(lines[0])) == 0
    assert (project / "compare.html").is_file()
