"""Text files of the user: plain text, Markdown, JSON lines, Parquet and CSV.

What counts as a source, and so cannot straddle two splits:

- a record of a .jsonl, .parquet or .csv file, as "path#number", counted from 0;
- a .txt or .md file, if several are read;
- of a single .txt or .md file, each of its documents: consecutive blocks, cut at blank lines. Neighbouring blocks of
  one text may fall into different splits then; give several files if that matters.

Paths in the names of sources are relative to the folder that was given, so that splits do not depend on where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from glob import has_magic
from heapq import heappop, heappush
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from contextpress.corpus.cutting import Document, pack, position
from contextpress.corpus.extract import paragraphs
from contextpress.corpus.spec import LocalFiles, QuestionFile
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import decoded

PLAIN = (".txt", ".md")
RECORDS = (".jsonl", ".parquet", ".csv")


def local_paths(domain: LocalFiles) -> list[Path]:
    """The files that a domain reads, sorted.

    Raises:
        UserError: if there is none, or one is of a kind that is not read.
    """
    where = f"domain {domain.name}: {domain.path}"
    try:
        found = _found(domain, where)
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be read, "**" beside other letters
        raise UserError(f"{where} cannot be read: {_reason(error)}") from None
    for path in found:
        if path.suffix.lower() not in PLAIN + RECORDS:
            raise UserError(f"domain {domain.name}: {path} is not one of the kinds {', '.join(PLAIN + RECORDS)}")
    return sorted(found)


def question_path(domain: QuestionFile) -> Path:
    """The file that a domain reads.

    Raises:
        UserError: if it is not there.
    """
    where, path = f"domain {domain.name}: {domain.path}", Path(domain.path)
    try:
        found = path.is_file()
    except OSError as error:  # a name too long
        raise UserError(f"{where} cannot be read: {error.strerror}") from None
    if not found:
        raise UserError(f"{where} is no file; one of rows of JSON is wanted")
    return path


def _found(domain: LocalFiles, where: str) -> list[Path]:
    if has_magic(domain.path):
        root = _root(domain)
        pattern = Path(domain.path).relative_to(root).as_posix()
        found = [path for path in root.glob(pattern) if path.is_file()]
        if not found:
            raise UserError(f"{where} matches no file")
    else:
        given = Path(domain.path)
        if not given.exists():
            raise UserError(f"{where} does not exist")
        if given.is_dir():
            found = [path for path in given.rglob("*") if path.is_file() and path.suffix.lower() in PLAIN + RECORDS]
            if not found:
                raise UserError(f"{where} holds no file of the kinds {', '.join(PLAIN + RECORDS)}")
        elif given.is_file():
            found = [given]
        else:
            raise UserError(f"{where} is neither a file nor a folder")
    return found


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def documents(domain: LocalFiles, characters: int, document_characters: int) -> Iterator[Document]:
    """Documents of about ``document_characters`` characters from a domain's files, ``characters`` in all.

    Where there is more text than that, sources are chosen by the hash of their name.

    Raises:
        UserError: naming the file, and the line, row or byte, of what cannot be read.
    """
    return iter(capped(_all(domain, document_characters), characters))


def _all(domain: LocalFiles, document_characters: int) -> Iterator[Document]:
    paths = local_paths(domain)
    root = _root(domain)
    for path in paths:
        name = path.relative_to(root).as_posix()
        empty = True
        if path.suffix.lower() in PLAIN:
            texts = pack(("\n".join(unit) for unit in paragraphs(_lines(path))), document_characters, "\n\n")
            for number, text in enumerate(texts):
                empty = False
                yield Document(f"{name}#{number}" if len(paths) == 1 else name, text)
        else:
            for number, text in records(path, domain.field):
                empty = False
                for piece in cut_record(text, document_characters):
                    yield Document(f"{name}#{number}", piece)
        if empty:
            raise UserError(f"domain {domain.name}: {path} is empty")


def capped(found: Iterable[Document], characters: int) -> list[Document]:
    """The documents that fit into ``characters`` characters, by the hash of their source; no more is held at a time.

    Documents of one source stand together in ``found``.
    """
    heap: list[tuple[float, str, int, list[Document]]] = []  # the source that is last by hash comes first
    total = 0
    for source, group in groupby(found, key=lambda document: document.source):
        texts = list(group)
        size = sum(len(document.text) for document in texts)
        heappush(heap, (-position(source), source, size, texts))
        total += size
        while total - heap[0][2] >= characters:
            total -= heappop(heap)[2]
    ordered = [document for entry in sorted(heap, key=lambda entry: (-entry[0], entry[1])) for document in entry[3]]
    sizes = accumulate(len(document.text) for document in ordered)
    return [document for document, size in zip(ordered, sizes, strict=True) if size <= characters]


def cut_record(text: str, document_characters: int) -> Iterator[str]:
    """The documents of one record; a blank record gives none."""
    return pack(["\n".join(unit) for unit in paragraphs(text.splitlines())], document_characters, "\n\n")


def records(path: Path, field: str) -> Iterator[tuple[int, str]]:
    """Number and text of each record of a .jsonl, .parquet or .csv file.

    Raises:
        UserError: naming the line or row, and the fields that are there if the wanted one is not.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _json_records(path, field)
    return _parquet_records(path, field) if suffix == ".parquet" else _csv_records(path, field)


def _json_records(path: Path, field: str) -> Iterator[tuple[int, str]]:
    for number, record in json_rows(path, f"the field {field!r}"):
        where = f"{path}:{number + 1}"
        if field not in record:
            raise UserError(f"{where}: no field {field!r}; there are {', '.join(map(repr, record)) or 'none'}")
        yield number, text_of(record[field], field, where)


def json_rows(path: Path, wanted: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each line of a .jsonl file that is not blank.

    Raises:
        UserError: naming the line that is no JSON object, and what is ``wanted`` of one.
    """
    for number, line in enumerate(_json_lines(path)):
        if not line.strip():
            continue
        where = f"{path}:{number + 1}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON ({error.msg}, column {error.colno})") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in thousands
            raise UserError(f"{where}: not JSON that can be read ({error})") from None
        if not isinstance(record, dict):
            raise UserError(f"{where}: a JSON object with {wanted} is wanted, not {type(record).__name__}")
        yield number, record


def _json_lines(path: Path) -> Iterator[str]:
    # One by one: such files are often larger than memory.
    offset = 0
    try:
        with path.open("rb") as handle:
            for line in handle:
                yield decoded(path, line, offset)
                offset += len(line)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _parquet_records(path: Path, field: str) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _has_column(path, field, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(columns=[field]):
                for value in batch.column(0).to_pylist():
                    yield number, text_of(value, field, f"{path}, row {number}")
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}") from None


def _csv_records(path: Path, field: str) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    from pyarrow import csv

    _lines(path)  # for its errors: not UTF-8, binary, empty
    try:
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            # As text, whatever it looks like: "007" and "NA" are what is written in the file.
            convert_options=csv.ConvertOptions(column_types={field: pa.string()}, strings_can_be_null=False),
        )
    except pa.ArrowException as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from None
    _has_column(path, field, table.column_names)
    for number, value in enumerate(table.column(field).to_pylist()):
        yield number, text_of(value, field, f"{path}, row {number}")


def _has_column(path: Path, field: str, names: list[str]) -> None:
    if field not in names:
        raise UserError(f"{path}: no column {field!r}; there are {', '.join(map(repr, names)) or 'none'}")
    if names.count(field) > 1:
        raise UserError(f"{path}: column {field!r} is there {names.count(field)} times; one is wanted")


def text_of(value: Any, field: str, where: str) -> str:  # noqa: ANN401 - whatever a file holds
    """``value`` if it is text.

    Raises:
        UserError: naming the place, if it is something else.
    """
    if not isinstance(value, str):
        raise UserError(f"{where}: {field!r} is {'empty' if value is None else type(value).__name__}, not text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can write half of a character
        raise UserError(
            f"{where}: {field!r} is not UTF-8: half of a surrogate pair at character {error.start}"
        ) from None
    return value


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not data.strip():
        raise UserError(f"{path} is empty")
    text = decoded(path, data)
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _root(domain: LocalFiles) -> Path:
    path = Path(domain.path)
    if has_magic(domain.path):
        fixed: list[str] = []
        for part in path.parts[:-1]:
            if has_magic(part):
                break
            fixed.append(part)
        return Path(*fixed)
    return path if path.is_dir() else path.parent
