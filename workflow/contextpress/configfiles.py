"""Config files, read before Snakemake reads them.

Snakemake ends with a traceback where a config file is missing, binary or nested without end; takes the last of two
equal keys; makes Python objects of some tags; and runs Python expressions in a file that says `__use_yte__: true`. All
this happens before it reads the Snakefile, but after it has read its profile, from where ``check_arguments`` is called
(profiles/default/config.yaml). The Snakefile asks once more, for those who bring a profile of their own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from contextpress.runtime.errors import UserError
from contextpress.study import Study

DEFAULT = Path("config/config.yaml")
TEMPLATE = "__use_yte__"
TEXT = "tag:yaml.org,2002:str"
WANTED = "YAML or JSON is wanted, with keys such as study"


class _PlainLoader(yaml.SafeLoader):
    """YAML without tags, aliases, keys that are not text, and keys that are there twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem(f"*{event.anchor}: aliases are not read; write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _problem(f"{event.tag}: tags are not read; plain values are wanted", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != TEXT:
                raise _problem("keys are words; a list, a number or a date is none", key.start_mark)
            if key.value in seen:
                raise _problem(f"key {key.value} is there twice; each is allowed once", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _problem(what: str, place: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 - a mark, of the C library or not
    return yaml.MarkedYAMLError(problem=what, problem_mark=place)


def read_config(path: Path) -> dict[str, Any]:
    """What a config file holds, JSON or YAML, as Snakemake would read it.

    Raises:
        UserError: naming the file, and the line where there is one, if it cannot be read, holds anything but plain
            values under keys that differ, or a key that no study has.
    """
    where = f"config file {path}"
    text = _text(path, where)
    try:
        values = _parsed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        said = ", ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{where}{line}: {said}; {WANTED}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where}: {error}; {WANTED}") from None
    except RecursionError:
        raise UserError(f"{where}: it is nested too deep; {WANTED}") from None
    if not isinstance(values, dict):
        kind = "nothing" if values is None else f"a {type(values).__name__}"
        raise UserError(f"{where} holds {kind}; {WANTED}")
    if TEMPLATE in values:
        raise UserError(f"{where}: key {TEMPLATE} is not allowed; templates, which run code, are not read")
    unknown = [key for key in values if key not in Study.model_fields]
    if unknown:
        raise UserError(f"{where}: config key {unknown[0]} is not known; known here: {', '.join(Study.model_fields)}")
    return values


def check_arguments(arguments: Sequence[str]) -> None:
    """Read the default config and the config files that Snakemake's ``arguments`` name.

    Raises:
        SystemExit: with one line, if one is wrong.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    check_files([*([DEFAULT] if DEFAULT.exists() else []), *parser.parse_known_args(arguments)[0].configfile])


def check_files(paths: Iterable[Path]) -> None:
    """Read config files.

    Raises:
        SystemExit: with one line, if one is wrong.
    """
    try:
        for path in paths:
            read_config(path)
    except UserError as error:
        raise SystemExit(f"contextpress: {error}") from None


def _text(path: Path, where: str) -> str:
    try:
        if not path.is_file():
            raise UserError(f"{where} {'is not a file' if path.exists() else 'does not exist'}; {WANTED}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"{where} is not UTF-8: byte 0x{byte:02x} at offset {error.start}; {WANTED}") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror}; {WANTED}") from None


def _parsed(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key {key} is there twice; each is allowed once")
        values[key] = value
    return values
