"""Steps of the analysis room."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from contextpress.analysis.answer_tables import arm_table, probe_table
from contextpress.analysis.answers import Probe, probe_finding, with_answers
from contextpress.analysis.arms import load
from contextpress.analysis.arms import mitigation as shares_of_arms
from contextpress.analysis.buckets import by_bucket
from contextpress.analysis.budget import budget as share_out
from contextpress.analysis.calibration import OUTCOMES, draw, summarise
from contextpress.analysis.cramming import bucket_table, cramming_finding, side_by_side
from contextpress.analysis.dose import Doses, dose_finding, dose_table
from contextpress.analysis.guidelines import guidelines as measure_guidelines
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.infused import curves
from contextpress.analysis.join import join
from contextpress.analysis.ladder import ladder as ladder_table
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.practice import BudgetSpec, GuidelinesSpec
from contextpress.analysis.prediction import Predictor
from contextpress.analysis.predictor import parameters
from contextpress.analysis.predictor import predictor as fit_and_validate
from contextpress.analysis.spec import (
    ArmsSpec,
    Calibration,
    CalibrationChunk,
    CrammingAnalysis,
    InfusionAnalysis,
    ObservationsSpec,
    PredictorSpec,
    ProbeSpec,
    SpecificationSpec,
)
from contextpress.analysis.specification import specification as specification_table
from contextpress.analysis.verdicts import assess, findings
from contextpress.entropy.scores import GAP
from contextpress.reconstruction.table import ANSWERS, CRAMMED, RECONSTRUCTIONS
from contextpress.runtime.files import read_json, write_json, write_text
from contextpress.runtime.tables import complete, read_table, write_table, writing
from contextpress.tokens.asked import ASKED
from contextpress.tokens.passages import PASSAGES

log = logging.getLogger(__name__)


def observations(
    *,
    spec: ObservationsSpec,
    passages: list[Path],
    scores: list[Path],
    model_free: list[Path],
    gaps: list[Path],
    reconstructions: list[Path],
    observations: Path,
) -> None:
    """Join passages, entropies, gaps and reconstructions into the table of the study."""
    parts = join(
        spec,
        passages=passages,
        scores=scores,
        model_free=model_free,
        gaps=gaps,
        reconstructions=reconstructions,
    )
    count = 0
    column = "entropy_difference"
    known = all(read_table(path, GAP, [column])[column].notna().all() for path in gaps)
    schema = complete(OBSERVATIONS, f"gap_{column}") if known else OBSERVATIONS
    with writing(observations, schema) as write:
        for part in parts:
            write(part)
            count += len(part)
    log.info("%d observations of %d compressors", count, len(spec.compressors))


def claims(
    *,
    spec: ClaimsSpec,
    observations: Path,
    finding_c1: Path,
    finding_c2: Path,
    finding_c3: Path,
    table_c1: Path,
    table_c2: Path,
    table_c3: Path,
    table_grid_effects: Path,
    table_by_bucket: Path,
    specification: Path,
) -> None:
    """Test the declared claims and write findings and tables; findings name the table of other specifications."""
    rows = read_table(observations, OBSERVATIONS)
    results = assess(rows, spec)
    paths = {"c1": finding_c1, "c2": finding_c2, "c3": finding_c3}
    for name, finding in findings(results, spec).items():
        write_json(paths[name], {**finding, "specification_table": specification.as_posix()})
        log.info("%s %s: %s", finding["claim"], finding["verdict"], finding["reason"])
    tables = {key: table for result in results.values() for key, table in result.tables.items()}
    _write_csv(table_c1, tables["c1"])
    _write_csv(table_c2, tables["c2"])
    _write_csv(table_c3, tables["c3"])
    _write_csv(table_grid_effects, tables["grid_effects"])
    _write_csv(table_by_bucket, by_bucket(rows, spec))


def cramming(*, spec: CrammingAnalysis, observations: Path, crammed: list[Path], finding: Path, table: Path) -> None:
    """Compare crammed memory with both entropies and with the compressors, and write the finding and the table."""
    told = pd.concat([read_table(path, CRAMMED) for path in crammed], ignore_index=True)
    rows = side_by_side(read_table(observations, OBSERVATIONS), told, spec)
    found = cramming_finding(rows, spec)
    write_json(finding, found)
    _write_csv(table, bucket_table(rows, spec))
    log.info("%s %s", found["question"], found["answer"])


def predictor(*, spec: PredictorSpec, observations: Path, models: list[Path], finding: Path, table: Path) -> None:
    """Predict quality from entropies, gap and ratio, on documents, pairs and domains held out (weights: for sizes)."""
    sizes = {path.parent.name: parameters(path) for path in models}
    found, rows = fit_and_validate(read_table(observations, OBSERVATIONS), sizes, spec)
    write_json(finding, found)
    _write_csv(table, rows)
    log.info("%s %s", found["question"], found["answer"])


def probe(
    *,
    spec: ProbeSpec,
    observations: Path,
    passages: Path,
    asked: Path,
    answers: list[Path],
    reconstructions: list[Path],
    finding: Path,
    table: Path,
) -> None:
    """Hold answers against words, on the probe's records (tables of the compressors, then of the arms)."""
    questions, own = read_table(asked, ASKED), len(spec.compressors)
    given = [read_table(path, ANSWERS) for path in answers]
    made = [read_table(path, RECONSTRUCTIONS) for path in reconstructions]
    rows = with_answers(read_table(observations, OBSERVATIONS), questions, given[:own], made[:own], spec)
    found = Probe.of(rows, spec.claims)
    told = probe_finding(found)
    write_json(finding, told)
    helped = arm_table(read_table(passages, PASSAGES), questions, given[own:], made[own:], spec.arms, found.claims)
    _write_csv(table, pd.concat([part for part in (probe_table(found), helped) if len(part)] or [helped]))
    log.info("%s %s: %s", told["question"], told["verdict"], told["reason"])


def mitigation(
    *, spec: ArmsSpec, passages: list[Path], reconstructions: list[Path], finding: Path, table: Path
) -> None:
    """Say what share of the gap every arm closes, and whether it is mitigated (reconstructions in the spec's order)."""
    found, rows = shares_of_arms(load(spec, passages, reconstructions))
    write_json(finding, found)
    _write_csv(table, rows)
    log.info("mitigation %s: %s", found["verdict"], found["reason"])


def infusion(
    *,
    spec: InfusionAnalysis,
    passages: list[Path],
    reconstructions: list[Path],
    scores: list[Path],
    finding: Path,
    table: Path,
) -> None:
    """Say what each dose of infusion gains and loses (reconstructions, and scores of encoders, in the spec's order)."""
    found, rows = curves(load(spec.arms, passages, reconstructions), scores, spec)
    write_json(finding, found)
    _write_csv(table, rows)
    log.info("infusion %s: %s", found["verdict"], found["reason"])


def budget(*, spec: BudgetSpec, observations: Path, predictor: Path, finding: Path, table: Path) -> None:
    """Share out memory by entropy, uniformly and otherwise, and write the finding and the table."""
    expects = read_json(predictor)["predictor"]
    known = None if expects is None else Predictor.read(expects)
    found, rows = share_out(read_table(observations, OBSERVATIONS), known, spec)
    write_json(finding, found)
    _write_csv(table, rows)
    log.info("budget %s: %s", found["verdict"], found["reason"])


def guidelines(
    *, spec: GuidelinesSpec, observations: Path, predictor: Path, mitigation: list[Path], finding: Path
) -> None:
    """Measure what the paper advises (C4); the predictor's finding tells the sizes of the models.

    ``mitigation`` is one finding, or none where a study tries no arms.
    """
    sizes, arms = read_json(predictor)["ranges"], [read_json(path) for path in mitigation]
    found = measure_guidelines(read_table(observations, OBSERVATIONS), sizes, spec, *arms)
    write_json(finding, found)
    log.info("%s %s: %s", found["claim"], found["verdict"], found["reason"])


def specification(*, spec: SpecificationSpec, observations: Path, table: Path) -> None:
    """Estimate every claim under every choice of measure, entropy, read-out and ratio."""
    _write_csv(table, specification_table(read_table(observations, OBSERVATIONS), spec))


def ladder(*, spec: ClaimsSpec, observations: Path, table: Path) -> None:
    """Tabulate the control ladder by read-out and ratio, beside published ones."""
    _write_csv(table, ladder_table(read_table(observations, OBSERVATIONS), spec))


def dose_response(*, spec: ClaimsSpec, observations: Path, finding: Path, table: Path) -> None:
    """Hold quality and measured entropy against the true rate of generated text, and write finding and table."""
    doses = Doses.of(read_table(observations, OBSERVATIONS), spec)
    found = dose_finding(doses, spec)
    write_json(finding, found)
    _write_csv(table, dose_table(doses))
    log.info("%s %s", found["question"], found["answer"])


def calibration_chunk(*, spec: CalibrationChunk, outcomes: Path) -> None:
    """Draw some simulated studies of one kind and test the claims on each."""
    write_table(outcomes, draw(spec), OUTCOMES)


def calibration(*, spec: Calibration, outcomes: list[Path], table: Path, summary: Path) -> None:
    """Sum up how often the tests were right about the simulated studies."""
    rates, found = summarise(pd.concat([read_table(path, OUTCOMES) for path in outcomes]), spec)
    _write_csv(table, rates)
    write_json(summary, found)
    log.info("calibrated: %s; false positives %s", found["calibrated"], found["false_positive_rate"])


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
