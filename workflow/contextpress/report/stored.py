"""What a finished study has stored, as far as a comparison reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pydantic import ValidationError

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.report import records
from contextpress.report.comparison import COLUMNS, Finding
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json, read_text, reading
from contextpress.runtime.tables import read_table

CONFIG, CLAIMS, TABLE = (
    "config.json",
    [f"findings/c{number}.json" for number in (1, 2, 3)],
    "tables/observations.parquet",
)
RECORD = "record.json"


@dataclass(frozen=True)
class Figure:
    """A figure as SVG, and its caption."""

    svg: bytes
    caption: str


@dataclass(frozen=True)
class Stored:
    """A study.

    Attributes:
        told: as the user names it.
        name: as its config names it.
        config: its keys and values.
        findings: by name of their file, such as c1.
        observations: its table, ``COLUMNS``.
        made: source, device and versions that it was made with, by what they are of.
        figures: by name.
    """

    told: str
    name: str
    config: dict[str, Any]
    findings: dict[str, Finding]
    observations: pd.DataFrame
    made: dict[str, str]
    figures: dict[str, Figure]


def wanted(path: PurePosixPath) -> bool:
    """Whether ``load`` reads a file of a study."""
    return (
        path.as_posix() in (CONFIG, TABLE)
        or (path.parent.as_posix(), path.suffix) in (("findings", ".json"), ("figures", ".svg"), ("figures", ".rst"))
        or path.name == RECORD
    )


def load(folder: Path, told: str) -> Stored:
    """Read a study's folder.

    Raises:
        UserError: if the study is not finished, or a file of it is damaged.
    """
    for name in (CONFIG, *CLAIMS, TABLE):
        if not (folder / name).is_file():
            raise UserError(f"study {told} is not finished: it has no {name}; its workflow makes what is missing")
    config = read_json(folder / CONFIG)
    with reading(folder / CONFIG, "the config of a study"):
        name = str(config["study"])
    return Stored(
        told,
        name,
        config,
        {path.stem: _finding(path) for path in sorted(folder.glob("findings/*.json"))},
        read_table(folder / TABLE, OBSERVATIONS, COLUMNS),
        records.facts([_record(path) for path in sorted(folder.rglob(RECORD))]),
        {path.stem: _figure(path) for path in sorted(folder.glob("figures/*.svg"))},
    )


def _finding(path: Path) -> Finding:
    values = read_json(path)
    try:
        return Finding.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise UserError(f"{path} is no finding of a study: {key or 'all of it'}: {problem['msg']}") from None


def _record(path: Path) -> records.Record:
    record = read_json(path)
    with reading(path, "a run record"):
        records.facts([record])
    return dict(record)


def _figure(path: Path) -> Figure:
    caption = path.with_suffix(".rst")
    with reading(path, "SVG"):
        return Figure(path.read_bytes(), read_text(caption) if caption.is_file() else "")
