"""What the files beside the code say agrees with the project, and names what is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from contextpress.cli import COMMANDS

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_the_citation_names_this_version_and_licence():
    told = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= told.keys()  # what the format requires
    assert (told["title"], str(told["version"]), told["license"]) == tuple(
        PACKAGE[key] for key in ("name", "version", "license")
    )
    (paper,) = told["references"]
    assert paper["identifiers"][0]["value"].removeprefix("arXiv:") in (PROJECT / "README.md").read_text()


def test_the_licence_is_there_whole():
    text = (PROJECT / PACKAGE["license-files"][0]).read_text()
    assert PACKAGE["license"] == "Apache-2.0"
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert [number for number in range(1, 10) if not re.search(rf"^   {number}\. ", text, re.MULTILINE)] == []
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_paths_that_are_named_exist(name):
    text = (PROJECT / name).read_text()
    named = set(re.findall(r"(?:tests|workflow|config|docs|envs)/[\w./-]*[\w/]", text))
    assert [path for path in sorted(named) if not (PROJECT / path).exists()] == []
    assert named or name == "CHANGELOG.md"


def test_the_changelog_names_every_command():
    unreleased = (PROJECT / "CHANGELOG.md").read_text().partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert [
        name for name in COMMANDS if f"`{name}`" not in unreleased and f"contextpress {name}`" not in unreleased
    ] == []
