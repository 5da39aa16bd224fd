"""The installed packages that the lock file names, and which of their files may give text."""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from contextpress.corpus.cutting import position
from contextpress.runtime.errors import UserError

# They differ between builds of one version, or belong to the surroundings and not to the lock.
LEFT_OUT = ("torch", "triton", "pip", "setuptools", "wheel", "contextpress")
LEFT_OUT_PREFIXES = ("nvidia-", "cuda-")

LARGEST = {".py": 400_000}  # bytes; larger Python files are mostly tables, and slow to parse
LARGEST_OTHER = 4_000_000

_PYTHON = ("prose", "apiref", "examples", "code")
_SUFFIXES = {
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".pyx", ".pxd", ".pxi"), ("cfamily",)),
    **dict.fromkeys((".pyi", ".json", ".yaml", ".yml", ".css", ".afm", ".svg"), ("config",)),
    **dict.fromkeys((".csv", ".tsv", ".dat", ".data", ".txt"), ("tables",)),
}


@dataclass(frozen=True)
class SourceFile:
    """A file of an installed distribution that may give text."""

    distribution: str
    path: str  # as in RECORD
    place: str  # where it lies
    sha256: str  # urlsafe base64 without padding, as in RECORD
    domains: tuple[str, ...]

    @property
    def source(self) -> str:
        """The name of the file wherever the package is installed."""
        return f"{self.distribution}/{self.path}"


def locked(lock: Path) -> dict[str, str]:
    """Names (normalised) and versions that a lock file of lines ``name==version`` asks for on this machine.

    Raises:
        UserError: naming the file and the line that cannot be read.
    """
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"lock file {lock} does not exist") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.split(" #")[0].split(" --hash")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "-")):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise UserError(f"{lock}:{number}: {text!r} is not of the form name==version") from None
        pins = [pin.version for pin in requirement.specifier if pin.operator == "=="]
        if len(pins) != 1:
            raise UserError(f"{lock}:{number}: {text!r} does not pin one version with ==")
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = pins[0]
    return found


def records(lock: Path) -> dict[str, list[list[str]]]:
    """The RECORD rows (path, hash, size) of each distribution that counts, rows and names sorted.

    Rows without a sha256, outside the package folders (scripts, whose text holds the path of the interpreter) or about
    the installation itself are left out.

    Raises:
        UserError: if a distribution of the lock is not installed, or in another version.
    """
    found: dict[str, list[list[str]]] = {}
    for name, version in sorted(locked(lock).items()):
        if name in LEFT_OUT or name.startswith(LEFT_OUT_PREFIXES):
            continue
        rows = csv.reader((_installed(name, version, lock).read_text("RECORD") or "").splitlines())
        found[name] = sorted(
            row
            for row in rows
            if len(row) == 3
            and row[1].startswith("sha256=")
            and not row[0].startswith(("..", "/"))
            and ".dist-info/" not in row[0]
        )
    return found


def _installed(name: str, version: str, lock: Path) -> importlib.metadata.Distribution:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"{lock.name} names {name}, which is not installed: pip install -r {lock}") from None
    if Version(distribution.version).public != Version(version).public:
        raise UserError(
            f"{lock.name} names {name} {version}, but {distribution.version} is installed: pip install -r {lock}"
        )
    return distribution


def source_files(lock: Path, wanted: Collection[str]) -> list[SourceFile]:
    """The files that may give text to the wanted domains, ordered by the hash of their name."""
    files: list[SourceFile] = []
    for name, rows in records(lock).items():
        locate = importlib.metadata.distribution(name).locate_file
        for path, digest, size in rows:
            domains = tuple(domain for domain in classify(path) if domain in wanted)
            if domains and int(size or 0) <= LARGEST.get(PurePosixPath(path).suffix, LARGEST_OTHER):
                files.append(SourceFile(name, path, str(locate(path)), digest.removeprefix("sha256="), domains))
    return sorted(files, key=lambda file: (position(file.source), file.source))


def classify(path: str) -> tuple[str, ...]:
    """The domains that a file may give text to, by its path."""
    pure = PurePosixPath(path)
    if pure.suffix != ".py":
        return _SUFFIXES.get(pure.suffix, ())
    folders = {"test", "tests", "testing", "_testing"}.intersection(pure.parts[:-1])
    named = pure.name.startswith("test_") or pure.name.endswith("_test.py") or pure.name == "conftest.py"
    return ("tests",) if folders or named else _PYTHON
