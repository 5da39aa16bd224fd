"""Writes the configuration out: the documented default config, and its JSON schema."""

from __future__ import annotations

import json
import textwrap
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


def default_config() -> str:
    """config/config.yaml: the default study as commented YAML."""
    lines = [f"# {line}" for line in HEADER.splitlines()]
    return "\n".join([*lines, "", *_section(Study(), 0)]) + "\n"


def schema() -> str:
    """config/schema.json: what editors and validators read."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


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
