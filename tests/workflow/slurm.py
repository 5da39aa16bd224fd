"""A Slurm to test on: the one that answers here, or one of a single node that is started for the test.

The latter needs root and the programs slurmctld, slurmd, munged and the clients (Debian: slurmctld slurmd slurm-client
munge). Its node claims two GPUs, which are there for the asking only.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

# Where the clients look. SLURM_CONF would not reach them all: the plugin drops such variables on the way.
CONFIG, GENERIC_RESOURCES = Path("/etc/slurm/slurm.conf"), Path("/etc/slurm/gres.conf")
SERVERS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PATIENCE = 30.0  # seconds until the node is idle
URGENT = "urgent"  # the partition whose jobs preempt others

SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={megabytes} Gres=gpu:2 State=UNKNOWN
PartitionName=usual Nodes=ALL Default=YES PriorityTier=1 State=UP
PartitionName={urgent} Nodes=ALL PriorityTier=2 State=UP
"""


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """A Slurm that takes jobs; the test is skipped where there is none. ``folder`` is for one that is started."""
    if _answers():
        yield
        return
    wanting = [name for name in SERVERS + CLIENTS if shutil.which(name, path=_path()) is None]
    if wanting:
        pytest.skip(f"no Slurm answers, and none can be started: {', '.join(wanting)} not installed")
    if os.geteuid() != 0:
        pytest.skip("no Slurm answers, and only root can start one")
    if CONFIG.exists():
        pytest.skip(f"no Slurm answers, though {CONFIG} is there")
    with ExitStack() as started:
        for link in _write_settings(folder):
            started.callback(link.unlink)
        _start(folder, started)
        until = time.monotonic() + PATIENCE
        while not _answers():
            assert time.monotonic() < until, "".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
            time.sleep(0.2)
        yield


def _answers() -> bool:
    """Whether a node of the default partition takes jobs."""
    if shutil.which("sinfo") is None:
        return False
    asked = subprocess.run(["sinfo", "--noheader", "--format", "%T"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and bool({"idle", "mixed", "allocated"} & set(asked.stdout.split()))


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _write_settings(folder: Path) -> list[Path]:
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o711)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    for number in range(2):
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))  # as /dev/null
    host = socket.gethostname().partition(".")[0]
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        controller, node = one.getsockname()[1], two.getsockname()[1]
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 6 // 10 // 2**20
    settings = SETTINGS.format(
        host=host,
        controller=controller,
        node=node,
        folder=folder,
        cpus=os.cpu_count(),
        megabytes=megabytes,
        urgent=URGENT,
    )
    (folder / "slurm.conf").write_text(settings)
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-1]\n")
    CONFIG.parent.mkdir(exist_ok=True)
    for link in (CONFIG, GENERIC_RESOURCES):
        if link.is_symlink():  # into nowhere: left by a test that was killed
            link.unlink()
        link.symlink_to(folder / link.name)
    return [CONFIG, GENERIC_RESOURCES]


def _start(folder: Path, started: ExitStack) -> None:
    munge = [f"--key-file={folder}/munge/key", f"--socket={folder}/munge/socket", f"--pid-file={folder}/munge/pid"]
    munge += [f"--seed-file={folder}/munge/seed", "--force", "--foreground"]
    for name, options in (("munged", munge), ("slurmctld", ["-D"]), ("slurmd", ["-D"])):
        printed = started.enter_context((folder / f"{name}.log").open("w"))
        program = shutil.which(name, path=_path())
        assert program
        process = subprocess.Popen([program, *options], stdout=printed, stderr=subprocess.STDOUT, cwd=folder)
        started.callback(process.wait, 30)
        started.callback(process.terminate)
