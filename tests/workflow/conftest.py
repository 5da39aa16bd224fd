"""The smoke study, run once for all tests of the workflow."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.workflow.running import copy_project, snakemake


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """One folder for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A fresh checkout of the project: no results."""
    return copy_project(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def finished(shared_folder) -> Path:
    """A checkout in which the smoke study has been run; not to be changed."""
    folder = shared_folder / "finished"
    with (shared_folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # with several processes, the first one runs it and the others wait
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = snakemake(copy_project(folder), timeout=1800)
            assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
            (folder / "done").touch()
    return folder


@pytest.fixture
def tree(finished, tmp_path) -> Path:
    """A copy of the finished study, in another place, to change at will."""
    return Path(shutil.copytree(finished, tmp_path / "tree", symlinks=True))
