"""Fixtures of several files of tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import observations
from tests.unit.small_study import STEPS, step

if TYPE_CHECKING:
    from tests.unit.mixed_study import Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    rows = observations(("D1", "D6"), ("prose", "code"), passages=30, ladder=4, ratios=(4,))
    write_table(folder / "observations.parquet", rows, OBSERVATIONS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in STEPS:
            assert step(name) == 0, name
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> Path:
    """A finished study to damage; the current folder."""
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def mixed(tmp_path_factory) -> Study:
    """A study of models with tokenizers of their own; its compressors are trained when they are asked for."""
    from tests.unit.mixed_study import Study  # only now: most tests do without torch

    return Study(tmp_path_factory.mktemp("mixed"))
