"""A study in one file, ``tar -xf`` of which in another checkout leaves Snakemake nothing to do.

Beside the results a bundle holds what Snakemake noted of each of them: rule, inputs with their digests, params and
code. It keeps a note in a file named after the output, in base64 (``persistence/file.py`` of Snakemake 9).

All files of a bundle have one date. Snakemake judges inputs of more than 1 MB by their dates, and none of a study's may
be newer than what was made of it; its other inputs, the code of a new checkout among them, it judges by content. The
date is that of the last job's end, which the notes hold: the same study gives the same bytes, also where its files have
been touched, or come out of a bundle.
"""

from __future__ import annotations

import base64
import gzip
import math
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from contextpress.runtime.errors import UserError, first_line, refusal
from contextpress.runtime.files import read_json, replacing

RESULTS, NOTES = "results", ".snakemake/metadata"
UNFINISHED = ".snakemake/incomplete"  # empty; without it Snakemake would take the notes for those of an old version
CHECKPOINTS = "checkpoints"
LEVEL = 3  # of gzip: weights hardly shrink


def pack(study: Path, records: Path, output: Path) -> None:
    """Write the bundle of a study: all its files but checkpoints, and those of ``records`` that are about them.

    Args:
        study: its folder, relative to the project's: ``results/default``.
        records: Snakemake's notes, ``.snakemake/metadata``.
        output: the archive, ``.tar.gz``.

    Raises:
        UserError: if there is no record of the study.
    """
    files = {path.as_posix(): path for path in study.rglob("*") if path.is_file() and _kept(path.relative_to(study))}
    notes = {f"{NOTES}/{path.relative_to(records).as_posix()}": path for path in records.rglob("*") if path.is_file()}
    notes = {name: path for name, path in notes.items() if _subject(PurePosixPath(name)) in files}
    if not notes:
        raise UserError(f"{records} has no record of {study}; without it all of it would be run again elsewhere")
    date = math.ceil(max(read_json(path)["endtime"] for path in notes.values()))
    members = notes | files
    with (
        replacing(output) as draft,
        draft.open("wb") as raw,
        # Name and date of the archive itself would be in its first bytes.
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as pressed,
        tarfile.open(fileobj=pressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        folder = tarfile.TarInfo(UNFINISHED)
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, date
        archive.addfile(folder)
        for name in sorted(members):
            told = tarfile.TarInfo(name)
            told.size, told.mode, told.mtime = members[name].stat().st_size, 0o644, date
            with members[name].open("rb") as content:
                archive.addfile(told, content)


def _kept(path: Path) -> bool:
    """Whether a file of a study's folder belongs to it; drafts of files begin with a dot."""
    return path.parts[0] != CHECKPOINTS and not any(part.startswith(".") for part in path.parts)


def _subject(note: PurePosixPath) -> str:
    """The output that a note is about; a name too long for one file is spread over folders, marked by @."""
    parts = note.relative_to(NOTES).parts
    try:
        return base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
    except ValueError:  # no note of Snakemake's
        return ""


@contextmanager
def unpacked(bundle: Path, wanted: Callable[[PurePosixPath], bool]) -> Iterator[Path]:
    """Yield a temporary folder with some files of a bundle's study.

    Args:
        bundle: the archive.
        wanted: whether a file is, by its path in the study's folder.

    Raises:
        UserError: if it is no bundle: no archive, a damaged one, one with anything but plain files, with a file that
            belongs neither to one study nor to Snakemake's records, or that would lie outside of the folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        studies: set[str] = set()
        try:
            with gzip.open(bundle) as pressed, tarfile.open(fileobj=pressed, mode="r:") as archive:
                for member in archive:
                    place = _place(bundle, member)
                    if place.parts[0] != RESULTS:
                        continue
                    studies.add(place.parts[1])
                    inside = PurePosixPath(*place.parts[2:])
                    content = archive.extractfile(member)
                    if content and wanted(inside):
                        path = Path(folder, inside)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        with path.open("xb") as copy:
                            shutil.copyfileobj(content, copy)
                while pressed.read(1 << 20):  # the digest of all bytes stands at the end
                    pass
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
            why = refusal(error) or first_line(error)
            raise UserError(f"{bundle} cannot be read as the bundle of a study: {why}") from None
        if len(studies) != 1:
            raise UserError(f"{bundle} is no bundle of a study: it holds {len(studies)} studies, one is wanted")
        yield Path(folder)


def _place(bundle: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """Where a member would be unpacked.

    Raises:
        UserError: if a bundle has no such member.
    """
    place = PurePosixPath(member.name)
    if place.is_absolute() or ".." in place.parts:
        raise UserError(f"{bundle} is no bundle of a study: {member.name} would be unpacked outside of the folder")
    if member.isfile():
        belongs = place.is_relative_to(NOTES) or (place.parts[:1] == (RESULTS,) and len(place.parts) > 2)
    else:
        belongs = member.isdir() and place == PurePosixPath(UNFINISHED)
    if not belongs:
        raise UserError(
            f"{bundle} is no bundle of a study: it holds {member.name}; wanted are plain files in {RESULTS}/STUDY and "
            f"{NOTES}"
        )
    return place
