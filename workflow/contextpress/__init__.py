"""Tests, by experiment, how the data decides how well a context can be compressed into memory vectors.

``from contextpress import Compressor`` puts a trained one to use.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Compressor", "Memory"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is asked for only then: torch takes seconds. By name, or each step would depend on all of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"contextpress.reuse.{name.lower()}"), name)
