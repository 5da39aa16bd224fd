"""The embedded corpus: documentation and source of the packages that the lock file names, as they are installed.

No network, no licence question (read in place), and a function of the lock file: only files whose sha256 is the one
in their package's RECORD count, everything is ordered by hash, and a package that the lock does not name changes
nothing. Limits: English of a technical register; the same package may appear in several domains.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from contextpress.corpus import extract
from contextpress.corpus.cutting import SHORTEST, Document, pack, position
from contextpress.corpus.filters import Duplicates, NearDuplicates, Shingles, shingles
from contextpress.corpus.installed import SourceFile, records, source_files
from contextpress.corpus.spec import Extract
from contextpress.corpus.workers import Workers

FILE_CHARACTERS = 60_000  # most that one file gives a domain
FILE_SHARE = 0.05  # and at most this share of the domain's cap, so that a small corpus has several files too
DISTRIBUTION_SHARE = 0.25  # most of a domain's cap that one distribution gives
DISTRIBUTION_SHARES = {"cfamily": 0.6, "tables": 0.6}  # few distributions have any
ROUND = 96  # files handed out before what came back is counted; fixed, so that the result knows no core count
ROUNDS_AHEAD = 3

COMPILED = {".so", ".pyd", ".dll", ".dylib", ".a", ".lib", ".exe"}  # files that differ between machines
_JOINTS = {"prose": "\n\n", "apiref": "\n\n", "examples": "\n\n"}
_EXACT = ("tables", "hashes")  # compared as wholes: rows of numbers have no words to be near in

Unit = tuple[str, Shingles | None]


def read_units(task: tuple[SourceFile, tuple[str, ...]]) -> dict[str, list[Unit]]:
    """The units of one file for some domains, each with its shingles where near-duplicates are looked for.

    A file that is not the one its package recorded, or not UTF-8, gives nothing.
    """
    file, domains = task
    try:
        data = Path(file.place).read_bytes()
    except OSError:
        return {}
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    if digest != file.sha256 or b"\0" in data:
        return {}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return {}
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if domains == ("tables",):
        units: dict[str, Iterable[str]] = {"tables": extract.table_units(text)}
    elif domains[0] in ("cfamily", "config"):
        units = {domains[0]: extract.line_units(text)}
    else:
        units = {**extract.python_units(text, domains)}
    return {
        domain: [(unit, None if domain in _EXACT else shingles(unit)) for unit in _within(texts)]
        for domain, texts in units.items()
    }


def _within(texts: Iterable[str]) -> Iterator[str]:
    total = 0
    for text in texts:
        if total > FILE_CHARACTERS:
            return
        total += len(text)
        yield text


@dataclass
class Basket:
    """What is kept of one domain, and whether there is room for more."""

    domain: str
    cap: int  # characters
    document_characters: int
    documents: list[Document] = field(default_factory=list)
    total: int = 0
    full: bool = False

    def __post_init__(self) -> None:
        self.by_distribution: Counter[str] = Counter()
        self.full_distributions: set[str] = set()
        self.file_cap = min(FILE_CHARACTERS, max(int(FILE_SHARE * self.cap), self.document_characters))
        self.distribution_cap = DISTRIBUTION_SHARES.get(self.domain, DISTRIBUTION_SHARE) * self.cap
        self._near = NearDuplicates()
        self._equal = Duplicates()

    def open_to(self, distribution: str) -> bool:
        """Whether text of a distribution can still come in."""
        return not self.full and distribution not in self.full_distributions

    def add(self, distribution: str, source: str, units: list[Unit]) -> None:
        """Take from one file what is new and fits."""
        if not self.open_to(distribution):
            return
        for text in pack(self._new(units), self.document_characters, _JOINTS.get(self.domain, "\n")):
            if len(text) < min(SHORTEST, self.document_characters // 2):
                continue
            if self.total + len(text) > self.cap:
                self.full = True
                return
            if self.by_distribution[distribution] + len(text) > self.distribution_cap:
                self.full_distributions.add(distribution)
                return
            self.total += len(text)
            self.by_distribution[distribution] += len(text)
            self.documents.append(Document(source, text))

    def _new(self, units: list[Unit]) -> Iterator[str]:
        taken = 0
        for text, codes in units:
            if taken + len(text) > self.file_cap:
                continue
            if self._equal.add(text) if codes is None else self._near.add(codes):
                taken += len(text)
                yield text


def harvest(characters: Mapping[Extract, int], document_characters: int, lock: Path) -> dict[str, list[Document]]:
    """Documents of the wanted domains, at most ``characters[domain]`` characters of each.

    Files are read in the order of the hash of their name until every domain is full; a file is parsed once, and only
    if a domain with room left may gain from it. The result depends on the files alone, not on workers or timing.
    """
    baskets: dict[str, Basket] = {name: Basket(name, cap, document_characters) for name, cap in characters.items()}
    if "hashes" in baskets:
        _harvest_records(baskets["hashes"], lock)
    files = iter(source_files(lock, set(characters)))
    with Workers() as workers:
        ahead: deque[tuple[list[SourceFile], Iterator[dict[str, list[Unit]]]]] = deque()
        while True:
            while len(ahead) < ROUNDS_AHEAD and (tasks := list(islice(_tasks(files, baskets), ROUND))):
                ahead.append(([file for file, _ in tasks], workers.map(read_units, tasks)))
            if not ahead:
                break
            for file, units in zip(*ahead.popleft(), strict=True):
                for domain, found in units.items():
                    baskets[domain].add(file.distribution, file.source, found)
    return {name: basket.documents for name, basket in baskets.items()}


def _tasks(files: Iterator[SourceFile], baskets: Mapping[str, Basket]) -> Iterator[tuple[SourceFile, tuple[str, ...]]]:
    for file in files:
        wanted = tuple(domain for domain in file.domains if baskets[domain].open_to(file.distribution))
        if wanted:
            yield file, wanted


def _harvest_records(basket: Basket, lock: Path) -> None:
    for name, rows in sorted(records(lock).items(), key=lambda item: position(item[0])):
        lines = (",".join(row) for row in rows if not COMPILED.intersection(PurePosixPath(row[0]).suffixes))
        basket.add(name, f"{name}/RECORD", [(unit, None) for unit in extract.record_units(lines)])
