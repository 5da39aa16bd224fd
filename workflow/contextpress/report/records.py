"""What the run records of a study say: cost, devices, versions, source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contextpress.report.markdown import bullets, duration, table

Record = dict[str, Any]


def cost(records: Sequence[Record]) -> str:
    """Time and throughput by stage. Seconds are added over jobs, also over those that ran side by side."""
    stages: dict[str, list[Record]] = {}
    for record in records:
        stages.setdefault(" ".join(record.get("command", [])) or "unknown", []).append(record)
    rows = []
    for stage, members in sorted(stages.items()):
        seconds = sum(_seconds(record) for record in members)
        rows.append([stage, str(len(members)), duration(seconds), _rate(members)])
    total = sum(_seconds(record) for record in records)
    rows.append(["all", str(len(records)), duration(total), ""])
    head = ["stage", "jobs", "time", "tokens per second"]
    note = (
        "Times of jobs that ran side by side are added. Tokens are those that went through a model: labelled or not in "
        "training, positions of all greedy passes in reconstruction."
    )
    return table(head, rows, numbers=head[1:]) + "\n\n" + note


def versions(records: Sequence[Record]) -> str:
    """Devices, versions and source; more than one value where a study was made in several goes."""
    signatures = {name: value for record in records for name, value in sorted(record.get("signatures", {}).items())}
    items = [f"{name}: {value}" for name, value in facts(records).items()]
    return bullets([*items, *(f"{name}: `{value}`" for name, value in signatures.items())])


def facts(records: Sequence[Record]) -> dict[str, str]:
    """Source, device, machine and versions, by what they are of."""
    packages = sorted({name for record in records for name in record.get("packages", {})})
    return {
        "source": _values(_source(record) for record in records),
        "device": _values(record.get("device") for record in records),
        "machine": _values(record.get("machine") for record in records),
        "Python": _values(record.get("python") for record in records),
        **{name: _values(record.get("packages", {}).get(name) for record in records) for name in packages},
    }


def _seconds(record: Record) -> float:
    return float(record.get("seconds") or 0.0)


def _rate(records: Sequence[Record]) -> str:
    tokens, seconds = 0.0, 0.0
    for record in records:
        done = record.get("positions") or (record.get("tokens_per_second") or 0) * _seconds(record)
        if done:
            tokens, seconds = tokens + done, seconds + _seconds(record)
    return f"{tokens / seconds:,.0f}" if seconds else "-"


def _source(record: Record) -> str | None:
    source = record.get("source") or {}
    if not source.get("revision"):
        return None
    return source["revision"] + (" with changes not committed" if source.get("changed") else "")


def _values(found: Any) -> str:  # noqa: ANN401 - strings and None, from JSON
    values = sorted({str(value) for value in found if value is not None})
    return ", ".join(values) or "not recorded"
