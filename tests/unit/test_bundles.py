"""Bundles: what they hold, that the same study gives the same bytes, and that hostile archives are refused."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from snakemake.persistence.file import FilePersistence

from contextpress.cli import main
from contextpress.report.bundles import unpacked
from contextpress.runtime.errors import UserError

STUDY = Path("results/tried")
LONG = STUDY / "compressors" / ("A" * 200) / ("B" * 200 + ".json")
FILES = [STUDY / "summary.md", STUDY / "tables/c1.csv", STUDY / "logs/a.log", LONG]
NOTED = [FILES[0], FILES[1], LONG]


def note(path: Path, endtime: float) -> None:
    """A record where Snakemake itself looks for that of this output."""
    persistence = FilePersistence.__new__(FilePersistence)
    persistence._max_len = None
    place = Path(persistence._record_path(".snakemake/metadata", str(path)))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"rule": path.stem, "endtime": endtime}))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two studies, of which one has a checkpoint and a half-written file."""
    (tmp_path / "project/.snakemake/metadata").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    others = [STUDY / "checkpoints/a.pt", STUDY / "tables/.c1.csv.17", Path("results/other/summary.md")]
    for path in (*FILES, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {path.name}\n")
    for place, path in enumerate((*NOTED, others[2], STUDY / "lost.csv")):
        note(path, 1_700_000_000.25 + (100 if path == LONG else place))
    return tmp_path


def bundle(output: Path, study: Path = STUDY) -> int:
    options = ["--study", str(study), "--records", ".snakemake/metadata", "--output", str(output)]
    return main(["report", "bundle", *options])


def test_a_bundle_holds_the_study_and_its_records_and_nothing_else(project):
    assert bundle(project / "a.tar.gz") == 0
    with tarfile.open(project / "a.tar.gz") as archive:
        members = {member.name: member for member in archive}
        texts = {str(path): archive.extractfile(str(path)).read().decode() for path in FILES}
    assert texts == {str(path): f"text of {path.name}\n" for path in FILES}
    kept = {name for name in members if not name.startswith(".snakemake/metadata/")}
    assert kept == {*map(str, FILES), ".snakemake/incomplete"}
    assert len(members) - len(kept) == len(NOTED)
    # One date for all: no file is newer than what was made of it.
    assert {member.mtime for member in members.values()} == {1_700_000_101}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members.values()} == {(0, 0, "", "")}


def test_snakemake_finds_the_records_that_were_unpacked(project, monkeypatch):
    assert bundle(project / "a.tar.gz") == 0
    (project / "elsewhere").mkdir()
    subprocess.run(["tar", "-xf", "../a.tar.gz"], cwd=project / "elsewhere", check=True)
    monkeypatch.chdir(project / "elsewhere")
    persistence = FilePersistence.__new__(FilePersistence)
    persistence._max_len = None
    for path in NOTED:
        assert persistence._io_read(".snakemake/metadata", str(path))["rule"] == path.stem
    assert persistence._io_read(".snakemake/metadata", "results/other/summary.md") == {}


def test_the_same_study_gives_the_same_bytes_touched_or_unpacked(project, monkeypatch):
    assert bundle(project / "a.tar.gz") == 0
    for path in STUDY.rglob("*"):
        path.touch()
    FILES[0].chmod(0o600)
    assert bundle(project / "b.tar.gz") == 0
    (project / "elsewhere").mkdir()
    subprocess.run(["tar", "-xf", "../a.tar.gz"], cwd=project / "elsewhere", check=True)
    monkeypatch.chdir(project / "elsewhere")
    assert bundle(project / "c.tar.gz") == 0
    assert (project / "a.tar.gz").read_bytes() == (project / "b.tar.gz").read_bytes()
    assert (project / "a.tar.gz").read_bytes() == (project / "c.tar.gz").read_bytes()


def test_a_study_without_records_is_refused_in_one_line(project, capsys):
    (STUDY.parent / "bare").mkdir()
    (STUDY.parent / "bare/summary.md").write_text("text\n")
    assert bundle(project / "a.tar.gz", STUDY.parent / "bare") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert ".snakemake/metadata has no record of results/bare" in told
    assert not (project / "a.tar.gz").exists()


def test_the_wanted_files_of_a_bundle_come_out_as_they_went_in(project):
    assert bundle(project / "a.tar.gz") == 0
    with unpacked(project / "a.tar.gz", lambda path: path.suffix == ".csv") as folder:
        assert [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()] == [Path("tables/c1.csv")]
        assert (folder / "tables/c1.csv").read_text() == "text of c1.csv\n"
    assert not folder.exists()


def archive(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """An archive of members by name, type and target."""
    with tarfile.open(path, "w:gz") as made:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
            made.addfile(member, io.BytesIO(b"text"))
    return path


PLAIN = ("results/tried/summary.md", tarfile.REGTYPE, "")


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (("../escaped", tarfile.REGTYPE, ""), "../escaped would be unpacked outside"),
        (("/tmp/escaped", tarfile.REGTYPE, ""), "/tmp/escaped would be unpacked outside"),
        (("results/tried/../../../escaped", tarfile.REGTYPE, ""), "would be unpacked outside"),
        ((".snakemake/metadata/../../escaped", tarfile.REGTYPE, ""), "would be unpacked outside"),
        (("results/tried/link", tarfile.SYMTYPE, "/etc/passwd"), "it holds results/tried/link"),
        (("results/tried/link", tarfile.LNKTYPE, "/etc/passwd"), "it holds results/tried/link"),
        (("results/tried/device", tarfile.CHRTYPE, ""), "it holds results/tried/device"),
        (("results/tried/pipe", tarfile.FIFOTYPE, ""), "it holds results/tried/pipe"),
        (("results/tried/folder", tarfile.DIRTYPE, ""), "it holds results/tried/folder"),
        (("workflow/contextpress/cli.py", tarfile.REGTYPE, ""), "it holds workflow/contextpress/cli.py"),
        (("results/summary.md", tarfile.REGTYPE, ""), "it holds results/summary.md"),
        ((".snakemake/incomplete", tarfile.REGTYPE, ""), "it holds .snakemake/incomplete"),
        ((".", tarfile.DIRTYPE, ""), "it holds ."),
        (("results/other/findings.md", tarfile.REGTYPE, ""), "it holds 2 studies, one is wanted"),
        (PLAIN, "File exists"),
        (("results/tried/summary.md/more", tarfile.REGTYPE, ""), "File exists"),
    ],
    ids=lambda value: value[0].replace("/", "_") if isinstance(value, tuple) else None,
)
def test_an_archive_with_a_member_that_no_bundle_has_is_refused(tmp_path, member, says):
    made = archive(tmp_path / "a.tar.gz", PLAIN, member)
    with pytest.raises(UserError) as refused, unpacked(made, lambda path: True):
        pass
    assert str(made) in str(refused.value)
    assert says in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == [made]


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", gzip.compress(b"no archive"), gzip.compress(b"x" * 4096)],
    ids=["empty", "text", "pressed text", "long"],
)
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.tar\.gz (cannot be read as|is no)"), unpacked(tmp_path / "a.tar.gz", bool):
        pass


def test_a_bundle_that_was_cut_or_changed_is_refused(project):
    assert bundle(project / "a.tar.gz") == 0
    whole = (project / "a.tar.gz").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-4], whole[:300] + bytes([whole[300] ^ 255]) + whole[301:]):
        (project / "b.tar.gz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"b\.tar\.gz cannot be read as"), unpacked(project / "b.tar.gz", bool):
            pass
