"""Many dry runs of one checkout: Snakemake and the package are imported once, and every dry run is a fork.

As a script it stands in the checkout and answers on its standard output, line by line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.workflow.running import SMOKE, environment

Jobs = dict[str, int]  # by rule


class DryRuns:
    """Asks one checkout again and again what Snakemake would run."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def ask(self, config: Path | None = None, *, every: bool = False) -> Jobs | str:
        """Jobs of each rule that would run, of the study and the calibration; or what Snakemake says against it.

        Args:
            config: laid over those that all dry runs have.
            every: count all jobs instead, whether they need to run or not.
        """
        assert self._server.stdin
        assert self._server.stdout
        question = {"config": str(config) if config else None, "every": every}
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return answer["error"] or {rule: count for rule, count in answer["jobs"].items() if rule not in TARGETS}


TARGETS = ("all", "calibration")


@contextmanager
def dry_runs(folder: Path, *configs: Path) -> Iterator[DryRuns]:
    """Dry runs of the smoke study in the checkout ``folder``, on top of ``configs``."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.workflow.dry_runs", SMOKE, *map(str, configs)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield DryRuns(server)
        finally:
            server.terminate()


def serve(configs: Sequence[Path]) -> None:
    """Answer questions of ``ask`` until there are no more."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import OutputSettings

    # Quiet about these two, a dry run ends before the jobs would be scheduled.
    with SnakemakeApi(OutputSettings(quiet={Quietness.RULES, Quietness.PROGRESS})) as api:
        read = _read(api, configs)
        for line in sys.stdin:
            question = json.loads(line)
            mine, theirs = os.pipe()
            child = os.fork()
            if not child:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                answer = {"jobs": {}, "error": ""}
                try:
                    changed = _read(api, [*configs, Path(question["config"])]) if question["config"] else read
                    answer["jobs"] = _jobs(changed, every=question["every"])
                except (Exception, SystemExit) as error:
                    answer["error"] = str(error) or repr(error)
                os.write(theirs, json.dumps(answer).encode())
                os._exit(0)
            os.close(theirs)
            with os.fdopen(mine) as pipe:
                sys.stdout.write(pipe.read() + "\n")
            sys.stdout.flush()
            os.waitpid(child, 0)


def _read(api, configs):
    """The workflow as the Snakefile and these configs make it."""
    from snakemake.settings.types import ConfigSettings, ResourceSettings

    made = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(configfiles=configs),
        snakefile=Path("Snakefile"),
    )
    made._workflow  # reads the Snakefile  # noqa: B018
    return made


def _jobs(workflow, *, every: bool) -> Jobs:
    from snakemake.settings.types import DAGSettings, ExecutionSettings

    planned = workflow.dag(DAGSettings(targets=set(TARGETS), forceall=every))
    planned.execute_workflow(pseudo_executor="dryrun", execution_settings=ExecutionSettings(lock=False))
    return Counter(job.rule.name for job in workflow._workflow.dag.needrun_jobs(exclude_finished=False))


if __name__ == "__main__":
    serve([Path(name) for name in sys.argv[1:]])
