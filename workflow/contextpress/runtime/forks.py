"""Jobs that begin as forks of a process which has imported already what they need.

Of the 5 seconds after which a job that needs torch gets to its work, 4 go into imports. So a Snakemake that runs its
jobs itself keeps one process (``forker.py``) that imports things once, when the first job asks. What a job prints, the
signals that it gets and how it ends stay the same: the command that Snakemake started waits for its fork, hands on
signals, and ends as the fork does.

A job starts by itself, as it would without all this, where a fork could not stand in for it: under another environment
(more threads, conda's, a cluster's) and beside accelerators. Linux alone has what is needed.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from contextpress.runtime.errors import UserError
from contextpress.runtime.files import umask

VARIABLE = "CONTEXTPRESS_FORKER"  # names the socket of the process that forks
WAITING_VARIABLE = "CONTEXTPRESS_WAITING"  # in a fork: the number of the process that waits for it
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)
FORKED, REFUSED = b"f", b"r"
LENGTH, STATUS = struct.Struct("!Q"), struct.Struct("!i")
_kept: list[subprocess.Popen[bytes]] = []  # its standard input is closed when it is forgotten


def keep_forker() -> None:
    """Start the process that forks, and name it to all jobs to come. It ends after this one, with its last job."""
    if sys.platform != "linux":
        return
    name = f"contextpress-{os.getpid()}-{secrets.token_hex(8)}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # In Linux' abstract name space: no file that a killed run would leave. Each side asks for the other's user.
        listener.bind(f"\0{name}")
        listener.listen(128)
        forker = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "contextpress.runtime.forker", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,  # ends when this process does, however that happens
            start_new_session=True,  # ^C reaches the waiting commands, and they hand it on
        )
        _kept.append(forker)
        os.environ[VARIABLE] = name


def run_in_fork(arguments: list[str]) -> int | None:
    """Run ``contextpress`` with these arguments in a fork, and wait for it.

    Returns:
        Its exit status; None if nobody forks, and the job has to run here. Where a signal ended it, this process ends
        by the same.

    Raises:
        UserError: if the process that forks was killed, and with it the job.
    """
    name = os.environ.get(VARIABLE)
    if name is None:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(f"\0{name}")
            if user_of(connection) != os.getuid():
                return None
            _ask(connection, arguments)
            if connection.recv(1) != FORKED:
                return None
        except OSError:  # it is gone, or on another machine
            return None
        _hand_on_signals(connection)
        told = connection.recv(STATUS.size)
    if len(told) < STATUS.size:
        raise UserError("the process that this job was forked from was killed; run again")
    (status,) = STATUS.unpack(told)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return int(status)


def user_of(connection: socket.socket) -> int:
    """The number of the user on the other side."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


def _ask(connection: socket.socket, arguments: list[str]) -> None:
    request = {
        "command": [sys.argv[0], *arguments],
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "mask": umask(),
        "process": os.getpid(),
        "ignored": [number for number in HANDED_ON if signal.getsignal(number) == signal.SIG_IGN],
        "files": (files := _inherited()),
    }
    text = json.dumps(request).encode()
    socket.send_fds(connection, [LENGTH.pack(len(text))], files)
    connection.sendall(text)


def _inherited() -> list[int]:
    """What the shell has opened for this command: its standard streams, and <(...) as /dev/fd/63."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder, which has been read
            if os.get_inheritable(int(path.name)):
                found.append(int(path.name))
    return found


def _hand_on_signals(connection: socket.socket) -> None:
    def hand_on(number: int, _: object) -> None:
        with suppress(OSError):  # it has ended, or the process that forks has
            connection.send(bytes([number]))

    def stop(*_: object) -> None:
        hand_on(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)

    for number in (*HANDED_ON, signal.SIGTSTP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop if number == signal.SIGTSTP else hand_on)
