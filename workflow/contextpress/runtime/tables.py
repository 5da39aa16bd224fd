"""Parquet tables with a declared schema, checked when written and when read; reading CSV."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_text, reading, replacing

# Rows of a row group, and of a batch that is read: what is held of a table that passes through.
ROWS = 1 << 16


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write ``frame`` with exactly the columns and types of ``schema``.

    Raises:
        UserError: if a column is missing, unknown, of another type, or null where the schema says it may not be.
    """
    with writing(path, schema) as write:
        write(frame)


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table part by part: yields what takes the next rows. The same rows give the same bytes in any parts.

    Raises:
        UserError: as ``write_table``; no table is written then.
    """
    waiting: list[pa.Table] = [schema.empty_table()]
    with (
        replacing(path) as draft,
        # A page without its checksum is decoded to other values where a byte of it has changed.
        pq.ParquetWriter(draft, schema, compression="zstd", write_page_checksum=True) as writer,
    ):

        def write(frame: pd.DataFrame) -> None:
            waiting.append(_declared(path, frame, schema))
            if sum(map(len, waiting)) >= ROWS:
                rows = pa.concat_tables(waiting)
                whole = len(rows) - len(rows) % ROWS
                writer.write_table(rows.slice(0, whole), ROWS)
                waiting[:] = [rows.slice(whole)]

        yield write
        writer.write_table(pa.concat_tables(waiting), ROWS)


def _declared(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    missing, unknown = set(schema.names) - set(frame.columns), set(frame.columns) - set(schema.names)
    if missing or unknown:
        raise UserError(f"table {path}: columns missing {sorted(missing)}, not declared {sorted(unknown)}")
    try:
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False, safe=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise UserError(f"table {path}: {error}") from None
    _refuse_nulls(path, table)
    # No pandas metadata: it names library versions, and the same rows must give the same bytes.
    return table.replace_schema_metadata(None)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table, all columns or some, and check it against ``schema``.

    Raises:
        UserError: if the file is missing, is not Parquet, is damaged, or differs from the schema.
    """
    return pa.concat_tables(_parts(path, schema, columns, ROWS)).to_pandas()


def batches(
    paths: Iterable[Path], schema: pa.Schema, columns: list[str] | None = None, count: int | None = None
) -> Iterator[pd.DataFrame]:
    """Tables one after the other as one, ``count`` rows at a time (``ROWS``), the last time what is left.

    Raises:
        UserError: as ``read_table``.
    """
    count = count or ROWS
    waiting: list[pa.Table] = []
    for path in paths:
        for part in _parts(path, schema, columns, count):
            waiting.append(part)
            if sum(map(len, waiting)) >= count:  # a part has no more rows than that
                rows = pa.concat_tables(waiting)
                waiting = [rows.slice(count)]
                yield rows.slice(0, count).to_pandas()
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting).to_pandas()


def _parts(path: Path, schema: pa.Schema, columns: list[str] | None, count: int) -> Iterator[pa.Table]:
    """A table, at most ``count`` rows at a time; at first none of them."""
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    with reading(path, "Parquet"), pq.ParquetFile(path, page_checksum_verification=True) as file:
        found = file.schema_arrow
        if columns and set(columns) <= set(found.names):
            found = pa.schema([found.field(name) for name in columns])
        if not _fits(found, wanted):
            raise UserError(f"table {path} has columns {found.names}, wanted {wanted.names} with the declared types")
        yield wanted.empty_table()
        for batch in file.iter_batches(count, columns=wanted.names):
            part = pa.Table.from_batches([batch]).select(wanted.names).cast(wanted)
            _refuse_nulls(path, part)
            yield part


def read_csv(path: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401 - of pandas
    """Read a table for readers.

    Raises:
        UserError: see ``reading``.
    """
    text = read_text(path)
    with reading(path, "CSV"):
        return pd.read_csv(io.StringIO(text), **options)


def complete(schema: pa.Schema, *names: str) -> pa.Schema:
    """``schema`` for a table that has no empty cells in these columns. Such a table is read by either."""
    return pa.schema([field.with_nullable(field.nullable and field.name not in names) for field in schema])


def _fits(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Whether names and types agree, and no column may have empty cells that must have none."""
    if found.names != wanted.names or found.types != wanted.types:
        return False
    return all(there.nullable <= here.nullable for there, here in zip(found, wanted, strict=True))


def _refuse_nulls(path: Path, table: pa.Table) -> None:
    for field in table.schema:
        if not field.nullable and table.column(field.name).null_count:
            raise UserError(f"table {path}: column {field.name} has empty cells, which it must not")


def required(name: str, kind: pa.DataType) -> pa.Field:
    """A column without empty cells."""
    return pa.field(name, kind, nullable=False)
