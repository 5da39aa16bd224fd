"""Base class of every stage's specification, and the wording of its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from contextpress.runtime.errors import UserError


def _refuse_bool(value: object) -> object:
    # Python counts True as 1; a config that says `seeds: [yes]` is a mistake, not a seed.
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


Number = Annotated[float, BeforeValidator(_refuse_bool)]
Whole = Annotated[int, BeforeValidator(_refuse_bool)]


class Spec(BaseModel):
    """Exactly the values one stage depends on. Unknown keys are refused; instances are immutable.

    A spec travels as one line of JSON from the workflow to the command that runs a stage, so that a changed value
    reruns that stage and what follows from it, and nothing else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Validate ``values``.

        Raises:
            UserError: naming the first offending key, its value and what is allowed.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UserError(describe(error, where)) from None

    def line(self) -> str:
        """The spec as one line of JSON, keys in the order of declaration."""
        return self.model_dump_json()


def describe(error: ValidationError, where: str = "") -> str:
    """The first problem of a validation error as one line: key, value, what is allowed."""
    problem = error.errors(include_url=False)[0]
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    key = ".".join(part for part in (where, path) if part) or "config"
    message = problem["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    tail = f" (and {more} more)" if more else ""
    if problem["type"] == "extra_forbidden":
        return f"config key {key} is not known; see config/README.md for the keys{tail}"
    if problem["type"] == "missing":
        return f"config key {key} is missing{tail}"
    value = repr(problem["input"])
    shown = value if len(value) <= 80 else value[:77] + "..."
    return f"config key {key} is {shown}: {message[0].lower() + message[1:]}{tail}"
