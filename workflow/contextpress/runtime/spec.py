"""Base class of every stage's specification, and the wording of its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from contextpress.runtime.errors import UserError

TAG = "kind"  # the key that tells the members of a union apart
UNKNOWN = "unknown_key"
LONGEST = 80  # characters of a value that a message shows
NAME_LENGTH = 64  # characters of a name: those of a compressor hold two, and a file's may have 255
LARGEST = 2**63  # what tables and generators of random numbers hold is below this


def _plain_number(value: object) -> object:
    # Python counts True as 1; a config that says `seeds: [yes]` is a mistake, not a seed.
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise ValueError("a number below 2^63 is wanted")
    return value


def distinct(values: tuple) -> tuple:
    """Validator of a list whose entries must differ."""
    if len(set(values)) < len(values):
        raise ValueError("the entries must differ")
    return values


Number = Annotated[float, BeforeValidator(_plain_number)]
Whole = Annotated[int, BeforeValidator(_plain_number)]


class Spec(BaseModel):
    """Exactly the values one stage depends on. Unknown keys are refused; instances are immutable.

    A spec travels as one line of JSON from the workflow to the command that runs a stage, so that a changed value
    reruns that stage and what follows from it, and nothing else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, values: Any) -> Any:  # noqa: ANN401 - whatever a config holds
        # Before pydantic's own check, whose message does not say what the keys are.
        if isinstance(values, Mapping):
            unknown = [str(key) for key in values if key not in cls.model_fields]
            if unknown:
                key = unknown[0].encode(errors="backslashreplace").decode()  # pydantic chokes on half a character
                raise PydanticCustomError(UNKNOWN, "{known}", {"key": key, "known": ", ".join(cls.model_fields)})
        return values

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Validate ``values``.

        Raises:
            UserError: naming the first offending key, its value and what is allowed.
        """
        try:
            return cls.model_validate(dict(values) if isinstance(values, Mapping) else values)
        except ValidationError as error:
            raise UserError(describe(error, values, where)) from None

    def line(self) -> str:
        """The spec as one line of JSON, keys in the order of declaration."""
        return self.model_dump_json()


def is_empty(value: object) -> bool:
    """When to leave a key out: so that specs which do without it are what they were before it came."""
    return value is None or value == {}


def describe(error: ValidationError, values: Mapping[str, Any], where: str = "") -> str:
    """The first problem of a validation error of ``values`` as one line: key, value, what is allowed."""
    problems = [problem for problem in error.errors(include_url=False) if not _follows(problem)]
    problem = problems[0]
    kind, context = problem["type"], problem.get("ctx", {})
    key = _cut(".".join(part for part in (where, _key(problem["loc"], values)) if part))
    value, message = problem["input"], problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    more = len(problems) - 1
    tail = f" (and {more} more)" if more else ""
    if kind == UNKNOWN:
        unknown = _cut(f"{key}.{context['key']}" if key else context["key"])
        return f"config key {unknown} is not known; known here: {context['known']}{tail}"
    if kind == "missing":
        return f"config key {key} is missing{tail}"
    if kind == "union_tag_not_found":
        return f"config key {key}.{TAG} is missing{tail}"
    if kind == "union_tag_invalid":
        key, value, message = f"{key}.{TAG}", context["tag"], f"should be one of {context['expected_tags']}"
    elif kind in ("model_type", "model_attributes_type"):
        message = "a section with keys of its own is wanted"
    elif kind == "tuple_type":
        message = "a list is wanted"
    elif kind == "too_short":
        message = f"a list of at least {context['min_length']} is wanted"
    elif _holds_mappings(value):
        # A rule between keys: its message names them, and the whole section would bury it.
        return f"config key {key}: {message}{tail}" if key else f"config: {message}{tail}"
    return f"config key {key or 'config'} is {_shown(value)}: {message[0].lower() + message[1:]}{tail}"


def _shown(value: object) -> str:
    """The beginning of ``value`` as JSON. No more is written out: aliases of YAML make endless values."""
    text = ""
    encoder = json.JSONEncoder(ensure_ascii=False, default=str, skipkeys=True, check_circular=False)
    for part in encoder.iterencode(value):
        text += part
        if len(text) > LONGEST:
            break
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _follows(problem: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries are wrong: pydantic counts the right ones."""
    return problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"]


def _key(steps: tuple[int | str, ...], values: object) -> str:
    """The dotted path of a place in ``values``."""
    path, here = "", values
    for step in steps:
        keys = here if isinstance(here, Mapping) else {}
        if step not in keys and step == keys.get(TAG):
            continue  # pydantic counts the choice of a union's member as a step
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        here = here[step] if isinstance(here, list | tuple) and isinstance(step, int) else keys.get(step)
    return path


def _holds_mappings(value: object) -> bool:
    parts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(part, Mapping) for part in parts)
