"""The documents table: what the corpus room gives to the rest of the house."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from contextpress.corpus.cutting import SPLITS as SPLITS
from contextpress.corpus.cutting import Document, position, splits
from contextpress.corpus.spec import Cut
from contextpress.runtime.tables import required, write_table

DOCUMENTS = pa.schema(
    [
        required("document_id", pa.string()),  # "prose/000123", unique in a study
        required("domain", pa.string()),
        required("source", pa.string()),  # the file it was cut from, as "distribution/path", or how it was generated
        required("split", pa.string()),  # by hash of the source: no file straddles two splits
        required("text", pa.string()),
        pa.field("entropy_rate", pa.float64()),  # nats per word, known in closed form; empty for natural text
    ]
)


def table(domains: Mapping[str, list[Document]], cut: Cut) -> pd.DataFrame:
    """The documents of some domains as a table: ordered by hash of the source within each, numbered and split."""
    assigned = splits({name: [document.source for document in documents] for name, documents in domains.items()}, cut)
    rows = []
    for name, documents in domains.items():
        # The sort is stable: documents of one source stay in the order of the source.
        ordered = sorted(documents, key=lambda document: (position(document.source), document.source))
        for number, document in enumerate(ordered):
            rows.append(
                {
                    "document_id": f"{name}/{number:06d}",
                    "domain": name,
                    "source": document.source,
                    "split": assigned[document.source],
                    "text": document.text,
                    "entropy_rate": document.entropy_rate,
                }
            )
    frame = pd.DataFrame(rows, columns=DOCUMENTS.names)
    return frame.astype({"entropy_rate": "float64"})


def write_documents(path: Path, frame: pd.DataFrame) -> None:
    """Write a documents table."""
    write_table(path, frame, DOCUMENTS)
