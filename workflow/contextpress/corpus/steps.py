"""Steps of the corpus room."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from contextpress.corpus import arithmetic, embedded, hub, known_entropy, local, products, question_files, records
from contextpress.corpus.cutting import SPLITS, Document
from contextpress.corpus.documents import DOCUMENTS, table, write_documents
from contextpress.corpus.records import QUESTIONS, Record, question_table
from contextpress.corpus.spec import (
    Arithmetic,
    DomainSpec,
    Embedded,
    HarvestSpec,
    HubDataset,
    LocalFiles,
    Products,
    QuestionFile,
)
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import write_json
from contextpress.runtime.tables import read_table, write_table


def harvest(*, spec: HarvestSpec, lock: Path, output: Path) -> None:
    """Cut the embedded domains from the installed packages that the lock file names."""
    found = embedded.harvest(spec.characters, spec.cut.document_characters, lock)
    write_documents(output, table(found, spec.cut))


def domain(*, spec: DomainSpec, output: Path, harvest: Path | None = None) -> None:
    """Write the documents of one domain: read, generated, or taken from the harvest."""
    if isinstance(spec.domain, Embedded):
        write_documents(output, _harvested(spec.domain, spec.characters, harvest))
        return
    if spec.characters is None or spec.cut is None:
        raise UserError(f"domain {spec.domain.name}: the spec needs `characters` and `cut`")
    found = list(_documents(spec, spec.characters, spec.cut.document_characters))
    documents = table({spec.domain.name: found}, spec.cut)
    different = documents["text"].nunique()
    if different < len(SPLITS):
        raise UserError(
            f"domain {spec.domain.name} holds the same text again and again: {len(found)} documents, {different} "
            f"different; at least {len(SPLITS)} are wanted, so that what is tested was not trained on"
        )
    write_documents(output, documents)


def questions(*, spec: DomainSpec, documents: Path, output: Path) -> None:
    """Write the questions about the records of a domain's test documents."""
    found = question_table(_records(spec), read_table(documents, DOCUMENTS))
    write_table(output, found, QUESTIONS)


def manifest(*, documents: list[Path], output: Path) -> None:
    """Write what the corpus holds: per domain a digest of its content, and its size in each split."""
    write_json(output, {"domains": dict(entry for path in documents for entry in _entries(path))})


def _documents(spec: DomainSpec, characters: int, document_characters: int) -> Iterator[Document]:
    if isinstance(spec.domain, Embedded):
        raise AssertionError("an embedded domain comes from the harvest")
    if isinstance(spec.domain, LocalFiles):
        return local.documents(spec.domain, characters, document_characters)
    if isinstance(spec.domain, HubDataset):
        return hub.documents(spec.domain, characters, document_characters)
    if isinstance(spec.domain, Products | QuestionFile):
        return records.documents(_records(spec))
    if spec.seed is None:
        raise UserError(f"domain {spec.domain.name} is generated: the spec needs `seed`")
    if isinstance(spec.domain, Arithmetic):
        return arithmetic.documents(characters, document_characters, spec.seed)
    return known_entropy.documents(spec.domain, characters, document_characters, spec.seed)


def _records(spec: DomainSpec) -> Iterator[Record]:
    if spec.characters is None or spec.cut is None:
        raise UserError(f"domain {spec.domain.name}: the spec needs `characters` and `cut`")
    if isinstance(spec.domain, QuestionFile):
        return question_files.records(spec.domain, spec.characters)
    if not isinstance(spec.domain, Products) or spec.seed is None:
        raise UserError(f"domain {spec.domain.name} is not one of records, or its spec lacks `seed`")
    return products.records(spec.characters, spec.cut.document_characters, spec.seed)


def _harvested(wanted: Embedded, characters: int | None, harvest: Path | None) -> pd.DataFrame:
    if harvest is None:
        raise UserError(f"domain {wanted.name} is embedded: --harvest is needed")
    frame = read_table(harvest, DOCUMENTS)
    frame = frame[frame["domain"] == wanted.what].reset_index(drop=True)
    if frame.empty:
        raise UserError(f"{harvest} holds no {wanted.what}; its spec must name it")
    if characters is not None:
        frame = frame[frame["text"].str.len().cumsum() <= characters]
    return frame.assign(
        domain=wanted.name,
        document_id=[f"{wanted.name}/{number:06d}" for number in range(len(frame))],
    )


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    frame = read_table(path, DOCUMENTS)
    for name, rows in frame.groupby("domain", sort=True):
        digest = hashlib.sha256()
        # Of the content: the bytes of a Parquet file depend on the version of its writer.
        for values in rows[["document_id", "source", "split", "text"]].itertuples(index=False):
            for value in values:
                digest.update(f"{len(value.encode())}:".encode() + value.encode())
        sizes = {
            split: {
                "documents": len(part),
                "sources": int(part["source"].nunique()),
                "characters": int(part["text"].str.len().sum()),
                "bytes": sum(len(text.encode()) for text in part["text"]),
            }
            for split in SPLITS
            for part in [rows[rows["split"] == split]]
        }
        lengths = rows["text"].str.len()
        origins = Counter[str]()
        for source, length in zip(rows["source"], lengths, strict=True):
            origins[source.split("/")[0].split("#")[0]] += int(length)
        yield (
            str(name),
            {
                "sha256": digest.hexdigest(),
                "splits": sizes,
                "distributions": dict(sorted(origins.items())),  # characters from each package, folder or generator
            },
        )
