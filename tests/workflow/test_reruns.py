"""What reruns after a change, and what does not: asked of Snakemake's job table after one run of the smoke study."""

from __future__ import annotations

import json
import math
import os
import time
import zipfile

import pytest

from contextpress.report.spec import CLAIMS_OF_FIGURES
from tests.unit.browser import CHROMIUM, Browser
from tests.workflow.running import CORES, NOTHING, snakemake, would_run, write_yaml

pytestmark = pytest.mark.workflow

FIGURES = {"quality_by_bucket", "encoder_entropy", "decoder_entropy", "grid", "grid_effects", "specification"}
FIGURES |= {"ladder", "cramming", "predictor", "budget", "learning_curves"}
DOSE = {"dose_response_table", "dose_response"}  # where a study has text of known entropy
TABLES = {"observations", "claims", "cramming_bound", "specification_table", "ladder_table", "predictor_table"}
TABLES |= {"budget_table", "guidelines_finding"}
REPORTS = {"summary", "findings_report", "guidelines", "explorer", "cards"}
FROM_OBSERVATIONS = TABLES | FIGURES - {"learning_curves"} | REPORTS
CONFIG = {"study_config"}  # holds every key
FROM_COMPRESSORS = {"compressor", "reconstruct", "learning_curves"} | FROM_OBSERVATIONS


# -- what a run leaves


def test_every_expected_file_exists(finished):
    results = finished / "results/smoke"
    wanted = [
        "summary.md",
        "summary.html",
        "verdicts.html",
        "findings.md",
        "findings.html",
        "explorer.html",
        "config.json",
        "corpus/manifest.json",
        "tables/observations.parquet",
        "tables/by_bucket.csv",
        "tables/grid_effects.csv",
        "tables/ladder.csv",
        "tables/specification.csv",
        "tables/perplexity.csv",
        "tables/latency.csv",
        "tables/cramming.csv",
        "findings/cramming.json",
        "tables/predictor.csv",
        "findings/predictor.json",
        "tables/budget.csv",
        "findings/budget.json",
        "guidelines.md",
    ]
    wanted += [f"findings/c{n}.json" for n in (1, 2, 3, 4)]
    wanted += [f"compressors/{e}-{d}-mean_pool-r4-s0/README.md" for e in ("D1", "D6") for d in ("D1", "D6")]
    wanted += [f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "svg", "png")]
    assert [name for name in wanted if not (results / name).is_file() or not (results / name).stat().st_size] == []


@pytest.mark.parametrize("claim", ["c1", "c2", "c3"])
def test_a_finding_says_effect_interval_p_value_size_and_verdict(finished, claim):
    finding = json.loads((finished / f"results/smoke/findings/{claim}.json").read_text(encoding="utf-8"))
    assert finding.keys() >= {"claim", "effect", "ci95", "p_value", "n", "verdict"}
    assert finding["claim"].lower().startswith(claim)
    assert math.isfinite(finding["effect"])
    if claim == "c3":  # about training runs, of which the smoke study has one each: an interval would be made up
        assert (finding["ci95"], finding["p_value"], finding["verdict"]) == ([None, None], None, "inconclusive")
    else:
        low, high = finding["ci95"]
        assert low <= finding["effect"] <= high
        assert 0 <= finding["p_value"] <= 1
    assert finding["n"] > 0


def test_every_job_left_a_log_and_a_benchmark(finished):
    results = finished / "results/smoke"
    logs = {path.relative_to(results / "logs").with_suffix("") for path in results.glob("logs/**/*.log")}
    costs = {path.relative_to(results / "benchmarks").with_suffix("") for path in results.glob("benchmarks/**/*.jsonl")}
    assert logs == costs
    assert len(logs) == sum(would_run(finished, None, "--forceall").values())


@pytest.mark.parametrize(("study", "has"), [("config.yaml", False), ("presets/controlled.yaml", True)])
def test_a_study_has_a_dose_response_where_entropy_is_set(checkout, study, has):
    jobs = would_run(checkout, checkout / "config" / study)
    assert {name for name in jobs if name.startswith("dose_")} == (DOSE if has else set())


def test_the_report_holds_the_summary_and_all_figures(finished, tmp_path):
    done = snakemake(finished, "--report", tmp_path / "report.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
    assert {"report.html", "summary.html", "findings.html", *(f"{name}.svg" for name in FIGURES)} == set(names) - {""}


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or chromium-browser, which is not installed")
def test_the_report_begins_with_the_verdicts_and_keeps_the_order_of_the_claims(finished, tmp_path):
    done = snakemake(finished, "--report", tmp_path / "report.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        archive.extractall(tmp_path)
    page = Browser(tmp_path / "profile")
    try:
        page.open(tmp_path / "report/report.html")
        page.until("document.querySelector('.prose table') !== null")
        claims = "[...document.querySelector('.prose table').querySelectorAll('tbody td:first-child')]"
        assert page.ask(f"{claims}.map(x => x.textContent)") == ["C1", "C2", "C3"]
        # The first page is taller than the window and yet begins within it.
        assert 0 <= page.ask("document.querySelector('.prose table').getBoundingClientRect().top") < 200
        assert page.ask("Object.keys(categories)") == ["1 Summary", "2 Figures", "3 Findings"]
        page.ask("app.showCategory('2 Figures')")
        page.until("document.querySelectorAll('table.table-auto tbody tr').length > 1")
        shown = page.ask(
            "[...document.querySelectorAll('table.table-auto tbody tr')].map(x => x.children[1].textContent)"
        )
        assert [name.replace(" ", "_") for name in shown] == [name for name in CLAIMS_OF_FIGURES if name in FIGURES]
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    finally:
        page.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or chromium-browser, which is not installed")
def test_the_explorer_of_a_run_opens_from_its_file_without_complaint(finished, tmp_path):
    page = Browser(tmp_path / "profile")
    try:
        page.open(finished / "results/smoke/explorer.html")
        page.until("at('name').textContent !== ''")
        assert page.ask("at('about').textContent") == "All 48 undisturbed held-out passages, 4 compressors."
        assert (page.problems, len(page.requests)) == ([], 1)
    finally:
        page.close()


# -- what reruns; test_stale.py has every module and every key


def test_a_second_run_has_nothing_to_do(finished):
    started = time.perf_counter()
    assert would_run(finished) == {}
    seconds = time.perf_counter() - started
    print(f"\ndry run of the finished smoke study: {seconds:.1f} s")  # noqa: T201
    assert seconds < 20


def test_a_real_second_run_changes_no_file(tree):
    results = [path for path in (tree / "results").rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in results}
    done = snakemake(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert NOTHING in done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in (tree / "results").rglob("*") if path.is_file()} == before


def test_a_copy_in_another_place_has_nothing_to_do(tree):
    assert would_run(tree) == {}


def test_another_number_of_cores_reruns_nothing(finished):
    assert would_run(finished, None, "--cores", str(CORES + 3)) == {}


def test_what_jobs_ask_for_reruns_nothing(finished, tmp_path):
    overlay = write_yaml(tmp_path / "gpus.yaml", {"gpus": 1})
    cluster = ["--profile", "workflow/profiles/slurm", "--set-resources", "compressor:mem_mb=64000"]
    assert would_run(finished, overlay, *cluster) == {}


def test_touched_files_rerun_nothing(tree):
    files = [path for part in ("results", "workflow", "envs", "config") for path in (tree / part).rglob("*")]
    files.sort(key=lambda path: path.stat().st_mtime_ns)
    now = time.time()
    for number, path in enumerate(files):  # each input becomes newer than what was made of it
        os.utime(path, (now - number, now - number))
    assert would_run(tree) == {}


def test_an_edit_to_a_figure_redraws_the_figures_and_nothing_else(tree):
    path = tree / "workflow/contextpress/figures/style.py"
    before = path.read_bytes()
    path.write_bytes(before + b"\nEDITED = True\n")
    assert would_run(tree) == dict.fromkeys(FIGURES | {"summary"}, 1)
    path.write_bytes(before)
    assert would_run(tree) == {}


def test_an_edit_to_the_explorers_page_writes_the_explorer_and_nothing_else(tree):
    path = tree / "workflow/contextpress/report/explorer.css"
    path.write_text(path.read_text(encoding="utf-8") + "/* a remark */\n", encoding="utf-8")
    assert would_run(tree) == {"explorer": 1}


def test_a_new_seed_trains_only_what_it_adds(finished, tmp_path):
    # Seed 0 pairs models 0 and 1, seed 1 pairs 1 and 2: two new language models, four new compressors.
    once = dict.fromkeys(TABLES | FIGURES | REPORTS | CONFIG | {"gap", "perplexity"}, 1)
    jobs = would_run(finished, write_yaml(tmp_path / "one.yaml", {"seeds": [0, 1]}))
    assert jobs == {"pretrain": 2, "score": 2, "compressor": 4, "reconstruct": 4, "cram": 2} | once
    # Seed 3 needs models 3 and 4: as many jobs as the first seed, and none of the first seed's again.
    jobs = would_run(finished, write_yaml(tmp_path / "two.yaml", {"seeds": [0, 3]}))
    assert jobs == {"pretrain": 4, "score": 4, "compressor": 4, "reconstruct": 4, "cram": 2} | once


def test_a_learning_rate_of_compressors_retrains_compressors_only(finished, tmp_path):
    overlay = write_yaml(tmp_path / "faster.yaml", {"compressor": {"schedule": {"learning_rate": 0.002}}})
    jobs = would_run(finished, overlay)
    assert jobs["compressor"] == jobs["reconstruct"] == 4
    assert jobs.keys() == FROM_COMPRESSORS | CONFIG


def test_a_new_lock_trains_anew(tree):
    lock = tree / "envs/requirements.lock"
    lock.write_text(lock.read_text(encoding="utf-8") + "# newer\n", encoding="utf-8")
    assert would_run(tree).keys() >= {"harvest", "warmup", "pretrain", "compressor"}


def test_a_lost_file_is_made_again_with_what_follows_from_it(tree):
    (tree / "results/smoke/findings/c2.json").unlink()
    jobs = would_run(tree).keys()
    assert "claims" in jobs
    assert jobs <= FROM_OBSERVATIONS - {"observations"}


# -- whose code runs


def test_a_checkout_runs_its_own_package(tree):
    command = tree / "workflow/contextpress/cli.py"
    command.write_text("raise SystemExit('the package of this checkout')\n", encoding="utf-8")
    done = snakemake(tree, "results/smoke/corpus/harvest.parquet")
    assert done.returncode == 1
    assert "the package of this checkout" in done.stdout + done.stderr


# -- the calibration


def test_the_calibration_stands_apart_from_studies_and_writes_its_summary(tree, tmp_path):
    few = {"null_studies": 3, "planted_studies": 2, "chunk": 2, "documents": 8, "draws": 50}
    overlay = write_yaml(tmp_path / "few.yaml", {"analysis": {"calibration": few}})
    assert would_run(tree, overlay) == {}  # no part of a study asks for it
    done = snakemake(tree, "calibration", overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tree / "results/calibration/summary.json").read_text(encoding="utf-8"))
    assert {"false_positive_rate", "coverage"} <= summary.keys()
    assert summary["studies"] == {"none": 3, "bound": 3, "encoder": 2, "decoder": 2, "both": 2, "gap": 2}
    assert (tree / "results/calibration/calibration.png").stat().st_size
    assert would_run(tree, overlay, "--", "calibration") == {}
