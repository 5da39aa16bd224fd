"""The run record beside every trained or scored artefact: what made it, on what, how fast."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contextpress.runtime.files import write_json
from contextpress.runtime.spec import Spec

PACKAGES = ("torch", "transformers", "tokenizers", "peft", "numpy", "snakemake")


def write_record(path: Path, spec: Spec, **measured: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Write spec, versions, source revision and measured values (seconds, tokens per second, device) to ``path``.

    Records say when and where, so they differ between runs; nothing that is compared or computed on reads them.
    """
    write_json(
        path,
        {
            "spec": spec.model_dump(mode="json"),
            "command": sys.argv[1:3],
            "source": _source(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
            "packages": {name: version(name) for name in PACKAGES},
            **measured,
        },
    )


def _source() -> dict[str, object]:
    def git(*arguments: str) -> str | None:
        here = Path(__file__).parent
        try:
            done = subprocess.run(  # noqa: S603 - fixed command
                ["git", "-C", str(here), *arguments],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"revision": git("rev-parse", "HEAD"), "changed": None if changes is None else bool(changes)}
