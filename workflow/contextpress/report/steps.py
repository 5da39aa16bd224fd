"""Steps of the report room."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.entropy.scores import TOKEN_SCORES
from contextpress.reconstruction.table import RECONSTRUCTIONS
from contextpress.report import bundles, claims
from contextpress.report import explorer as explore
from contextpress.report import guidelines as advice
from contextpress.report import page as pages
from contextpress.report.cards import COLUMNS, card
from contextpress.report.spec import CardsSpec, ConfigSpec, ExplorerSpec, SummarySpec
from contextpress.report.summary import Figure, compose, verdicts
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, read_text, write_json, write_text
from contextpress.runtime.tables import read_csv, read_table
from contextpress.tokens.passages import PASSAGES


def summary(
    *,
    spec: SummarySpec,
    observations: Path,
    findings: list[Path],
    practice: list[Path],
    figures: list[Path],
    captions: list[Path],
    drawings: list[Path],
    records: list[Path],
    output: Path,
    page: Path,
    table: Path,
) -> None:
    """Write the summary of a study: verdicts, figures, what was learned, run and spent.

    ``practice`` are the findings beside those on the claims: guidelines, memory budget, and what else a study has. A
    figure's caption is the one of the same name (grid.png, grid.rst). ``page`` is the summary for a browser, with
    the figures' ``drawings`` (grid.svg) inside; ``table`` is its section on the verdicts, for the report's first page.

    Raises:
        UserError: if a figure has no caption.
    """
    said = {path.stem: read_text(path) for path in captions}
    missing = [path.name for path in figures if path.stem not in said]
    if missing:
        raise UserError(f"figure {missing[0]} has no caption; captions are {', '.join(sorted(said))}")
    found, beside = ([read_json(path) for path in paths] for paths in (findings, practice))
    text = compose(
        spec.study,
        spec.domain,
        read_table(observations, OBSERVATIONS),
        found,
        beside,
        [Figure(path, said[path.stem]) for path in figures],
        [read_json(path) for path in records],
        output.parent,
    )
    write_text(output, text)
    drawn = {path.stem: path.read_bytes() for path in drawings}
    write_text(page, pages.page(f"Study {spec.study}", text, drawn))
    write_text(table, pages.fragment(verdicts(found, beside)))


def findings(
    *,
    spec: SummarySpec,
    observations: Path,
    findings: list[Path],
    grid_effects: Path,
    specification: Path,
    ladder: Path,
    cramming: Path,
    dose_response: list[Path],
    mitigation: list[Path],
    infusion: list[Path],
    probe: list[Path],
    output: Path,
    page: Path,
) -> None:
    """Write each claim at length: what was measured, what the paper reports, and what may be concluded.

    ``dose_response`` is one finding, or none where a study has no text of known entropy; ``mitigation`` is one, or none
    where it helps no pairs; ``infusion`` one, or none where no encoder is given its decoder's corpus; ``probe`` one, or
    none where nothing is asked. ``page`` is for a browser.
    """
    text = claims.compose(
        spec.study,
        read_table(observations, OBSERVATIONS),
        [read_json(path) for path in findings],
        read_csv(grid_effects, dtype={"ratio": str}),
        read_csv(specification),
        read_csv(ladder),
        read_json(cramming),
        [read_json(path) for path in dose_response],
        [read_json(path) for path in mitigation],
        [read_json(path) for path in infusion],
        [read_json(path) for path in probe],
    )
    write_text(output, text)
    write_text(page, pages.page(f"Findings of study {spec.study}", text))


def guidelines(*, spec: SummarySpec, c4: Path, budget: Path, output: Path) -> None:
    """Write what the paper advises as far as the study has measured it, and what a memory budget by entropy gains."""
    write_text(output, advice.compose(spec.study, read_json(c4), read_json(budget)))


def explorer(
    *,
    spec: ExplorerSpec,
    observations: Path,
    passages: Path,
    scores: list[Path],
    reconstructions: list[Path],
    tokenizers: list[Path],
    output: Path,
) -> None:
    """Write the explorer of a study.

    Files of ``scores`` bear the names of their models; ``tokenizers`` are the folders of what these read, one by one.

    Raises:
        UserError: if there are not as many tables of reconstructions as compressors, or a table lacks a passage.
    """
    # Imported here: the other steps need no tokenizer, and would wait for it.
    from contextpress.tokens.tokenizer import load_tokenizer

    if len(reconstructions) != len(spec.compressors):
        raise UserError(f"{len(spec.compressors)} compressors, but {len(reconstructions)} reconstruction tables")
    read = {path.stem: str(folder) for path, folder in zip(scores, tokenizers, strict=True)}
    columns = ["passage_id", "position", "token_id", "nll"]
    found = {path.stem: read_table(path, TOKEN_SCORES, columns) for path in scores}
    made = [read_table(path, RECONSTRUCTIONS, ["passage_id", "condition", "token_ids"]) for path in reconstructions]
    used: dict[str, set[int]] = {folder: set() for folder in read.values()}
    for model, table in found.items():
        used[read[model]].update(table["token_id"].unique().tolist())
    for one, table in zip(spec.compressors, made, strict=True):
        used[read[one.decoder_model]].update(np.concatenate(table["token_ids"].tolist()).tolist())
    tables = explore.Tables(
        passages=read_table(passages, PASSAGES, ["passage_id", "text"]),
        observations=read_table(observations, OBSERVATIONS, explore.COLUMNS),
        token_scores=found,
        reconstructions=made,
        tokenizers=read,
        pieces={folder: explore.pieces(load_tokenizer(folder), sorted(ids)) for folder, ids in used.items()},
    )
    write_text(output, explore.page(explore.content(spec, tables)))


def cards(*, spec: CardsSpec, observations: Path, compressors: list[Path], output: list[Path]) -> None:
    """Write the model card of each compressor: what it was trained on, how well it does, how it is used."""
    rows = read_table(observations, OBSERVATIONS, COLUMNS)
    for described, folder, path in zip(spec.compressors, compressors, output, strict=True):
        write_text(path, card(spec, described, folder, rows))


def config(*, spec: ConfigSpec, output: Path) -> None:
    """Write the config of the study, which Snakemake takes with ``--configfile``."""
    write_json(output, spec.config)


def bundle(*, study: Path, records: Path, output: Path) -> None:
    """Pack the folder of a study, and Snakemake's records of the files in it; both are told relative to the project.

    Raises:
        UserError: if there is no record of the study.
    """
    bundles.pack(study, records, output)
