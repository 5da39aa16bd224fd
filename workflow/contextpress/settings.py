"""Writes the configuration out: the documented default config, its JSON schema, and a table of all keys.

python -m contextpress.settings    writes all three into config/ of the folder that it is started in
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from contextpress.study import Study

WIDTH = 110
HEADER = """\
The default study: every key with its default, written out from workflow/contextpress/study.py.
A config of your own, or a preset, names only what it changes: snakemake --cores all --configfile mine.yaml
Lists replace lists; sections are merged key by key. "ours" marks a choice that the paper does not state.
"""

KEYS_HEADER = """\
# Every key

Written out from the models that check a config (`python -m contextpress.settings`), with the entries of lists, which
`config.yaml` shows by their values alone. Under `allowed`, `number` and `whole number` stand for any that is not
infinite. The last column has the unit and the source: a paper, a trial, or "ours" where the paper states nothing.
"""


def default_config() -> str:
    """config/config.yaml: the default study as commented YAML."""
    lines = [f"# {line}" for line in HEADER.splitlines()]
    return "\n".join([*lines, "", *_section(Study(), 0)]) + "\n"


def schema() -> str:
    """config/schema.json: what editors and validators read."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def keys() -> str:
    """config/keys.md: each key with its default, what is allowed, and what it is."""
    whole = Study.model_json_schema()
    rows = list(_keys(whole, whole, Study().model_dump(mode="json"), ""))
    parts = [KEYS_HEADER]
    for section in dict.fromkeys(key.split(".")[0].split("[")[0] if "." in key else "" for key, *_ in rows):
        own = [row for row in rows if (row[0].split(".")[0] == section if section else "." not in row[0])]
        parts.append(f"## {section or 'Of the study'}\n")
        lines = ["| key | default | allowed | what it is |", "| --- | --- | --- | --- |"]
        lines += [f"| `{key}` | {default} | {allowed} | {text} |" for key, default, allowed, text in own]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write() -> None:
    """Write the three files into config/ of the working directory."""
    for name, text in {"config.yaml": default_config(), "schema.json": schema(), "keys.md": keys()}.items():
        (Path("config") / name).write_text(text, encoding="utf-8")


Schema = dict[str, Any]


def _keys(whole: Schema, section: Schema, values: Schema, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Key, default, what is allowed and description of every key below ``section``, sections themselves left out.

    ``values`` are those of the default study, or where the section is an entry of a list its own defaults.
    """
    for name, key in section["properties"].items():
        sections = _sections(whole, key)
        for tag, inner in sections:
            own = {part: entry["default"] for part, entry in inner["properties"].items() if "default" in entry}
            yield from _keys(whole, inner, own if tag else values[name], f"{prefix}{name}{tag}.")
        if "const" not in key and "" not in dict(sections):
            text = " ".join(key.get("description", "").split())
            yield f"{prefix}{name}", _default(values, name), _allowed(whole, key), text.replace("|", "\\|")


def _default(values: Schema, name: str) -> str:
    """A key's default; nothing where there is none, or where it is better read in config.yaml."""
    value = values.get(name, [{}])
    if value is None:
        return "empty"
    return "" if isinstance(value, list) and any(isinstance(entry, dict) for entry in value) else f"`{_flow(value)}`"


def _sections(whole: Schema, key: Schema) -> list[tuple[str, Schema]]:
    """The sections that a key holds: itself, or the entries of a list, by kind where there are several."""
    if "$ref" in key:
        return [("", whole["$defs"][key["$ref"].rpartition("/")[2]])]
    items = key.get("items", {})
    if "$ref" in items:
        return [("[]", _sections(whole, items)[0][1])]
    kinds = items.get("discriminator", {}).get("mapping", {})
    return [(f"[{kind}]", _sections(whole, {"$ref": ref})[0][1]) for kind, ref in kinds.items()]


def _allowed(whole: Schema, key: Schema) -> str:
    choices = [_allowed(whole, choice) for choice in key.get("anyOf", [])]
    if choices:
        return " or ".join(choices)
    if "enum" in key:
        return ", ".join(f"`{_flow(value)}`" for value in key["enum"])
    if "const" in key:
        return f"`{_flow(key['const'])}`"
    if key["type"] == "array":
        inner = "sections" if _sections(whole, key) else _allowed(whole, key["items"])
        return f"list of {inner}"
    if key["type"] == "object":
        return f"section of {_allowed(whole, key['additionalProperties'])} by name"
    kind = {"integer": "whole number", "null": "empty", "string": "text", "boolean": "`true`, `false`"}
    bounds = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    limits = [f"{word} {key[name]:,}" for name, word in bounds.items() if name in key]
    pattern = f"like `{key['pattern']}`" if "pattern" in key else ""
    return ", ".join(filter(None, [kind.get(key["type"], key["type"]), *limits, pattern]))


def _section(model: BaseModel, depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    for key, info in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            note = info.description or (type(value).__doc__ or "").strip().split("\n\n")[0]
            lines += ["", *_comment(note, pad), f"{pad}{key}:", *_section(value, depth + 1)]
        else:
            plain = model.model_dump(mode="json")[key]
            lines += [*_comment(info.description or "", pad), *_entry(key, plain, pad)]
    return lines


def _comment(text: str, pad: str) -> list[str]:
    return [f"{pad}# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - len(pad))]


def _entry(key: str, value: Any, pad: str) -> list[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [{name: part for name, part in item.items() if part is not None} for item in value]
        return [f"{pad}{key}:", *(f"{pad}  - {_flow(item)}" for item in items)]
    return [f"{pad}{key}: {_flow(value)}"]


def _flow(value: Any) -> str:  # noqa: ANN401
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


if __name__ == "__main__":
    write()
