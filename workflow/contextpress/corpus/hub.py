"""Data sets by name, through the library `datasets`: data files only, never code from the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contextpress.corpus.cutting import Document
from contextpress.corpus.local import cut_record, text_of
from contextpress.corpus.spec import HubDataset
from contextpress.runtime.errors import UserError, first_line


def documents(domain: HubDataset, characters: int, document_characters: int) -> Iterator[Document]:
    """Documents of about ``document_characters`` characters from the first records, ``characters`` in all.

    A record is a source, named "data set#number".

    Raises:
        UserError: if the data set, its configuration, split or field is not there, or the network is not.
    """
    total = 0
    for number, record in enumerate(_records(domain)):
        where = f"data set {domain.dataset}, record {number}"
        if domain.field not in record:
            raise UserError(f"{where}: no field {domain.field!r}; there are {', '.join(map(repr, record)) or 'none'}")
        text = text_of(record[domain.field], domain.field, where)
        for piece in cut_record(text, document_characters):
            total += len(piece)
            if total > characters:
                return
            yield Document(f"{domain.dataset}#{number}", piece)


def _records(domain: HubDataset) -> Iterator[Mapping[str, Any]]:
    # Imported only now: it takes seconds, and nobody else in the room needs it.
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    where = f"domain {domain.name}: data set {domain.dataset}"
    try:
        data: Iterable[Mapping[str, Any]] = load_dataset(
            domain.dataset,
            domain.config,
            split=domain.split,
            revision=domain.revision,
            streaming=domain.streaming,
        )
        yield from data
    except DatasetNotFoundError as error:
        raise UserError(f"{where} was not found, or needs a login (hf auth login): {first_line(error)}") from None
    except (ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{where} cannot be reached: {first_line(error)}; fill the cache where there is a network and set "
            "`streaming: false`, or use `kind: files`"
        ) from None
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{where} cannot be read: {first_line(error)}") from None
