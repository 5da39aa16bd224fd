"""Fixtures of several files of tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import observations
from tests.unit.small_study import STEPS, step


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
