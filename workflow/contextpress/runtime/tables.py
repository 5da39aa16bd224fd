"""Parquet tables with a declared schema, checked when written and when read; reading CSV."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_text, reading, replacing


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write ``frame`` with exactly the columns and types of ``schema``.

    Raises:
        UserError: if a column is missing, unknown, of another type, or null where the schema says it may not be.
    """
    missing, unknown = set(schema.names) - set(frame.columns), set(frame.columns) - set(schema.names)
    if missing or unknown:
        raise UserError(f"table {path}: columns missing {sorted(missing)}, not declared {sorted(unknown)}")
    try:
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False, safe=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise UserError(f"table {path}: {error}") from None
    _refuse_nulls(path, table)
    with replacing(path) as draft:
        # No pandas metadata: it names library versions, and the same rows must give the same bytes.
        # A page without its checksum is decoded to other values where a byte of it has changed.
        pq.write_table(table.replace_schema_metadata(None), draft, compression="zstd", write_page_checksum=True)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table, all columns or some, and check it against ``schema``.

    Raises:
        UserError: if the file is missing, is not Parquet, is damaged, or differs from the schema.
    """
    with reading(path, "Parquet"):
        table = pq.read_table(path, columns=columns, page_checksum_verification=True)
    wanted = pa.schema([schema.field(name) for name in columns]) if columns else schema
    if not table.schema.equals(wanted, check_metadata=False):
        raise UserError(f"table {path} has columns {table.schema.names}, wanted {wanted.names} with the declared types")
    _refuse_nulls(path, table)
    return table.to_pandas()


def read_csv(path: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401 - of pandas
    """Read a table for readers.

    Raises:
        UserError: see ``reading``.
    """
    text = read_text(path)
    with reading(path, "CSV"):
        return pd.read_csv(io.StringIO(text), **options)


def _refuse_nulls(path: Path, table: pa.Table) -> None:
    for field in table.schema:
        if not field.nullable and table.column(field.name).null_count:
            raise UserError(f"table {path}: column {field.name} has empty cells, which it must not")


def required(name: str, kind: pa.DataType) -> pa.Field:
    """A column without empty cells."""
    return pa.field(name, kind, nullable=False)
