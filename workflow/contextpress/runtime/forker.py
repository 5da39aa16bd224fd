"""The process that forks jobs: `python -m contextpress.runtime.forker DESCRIPTOR`, as ``forks.py`` starts it."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

from contextpress.runtime.forks import FORKED, HANDED_ON, LENGTH, REFUSED, STATUS, VARIABLE, WAITING_VARIABLE, user_of

# What takes a job long to import, by room; transformers reads most of itself on demand.
TABLES = ("pandas", "pyarrow.parquet", "scipy.stats")
MODELS = (
    *TABLES,
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "accelerate",
)
MODULES = {
    "corpus": ("pandas", "pyarrow.parquet"),
    "tokens": ("pandas", "pyarrow.parquet", "transformers.tokenization_utils_tokenizers"),
    "lm": MODELS,
    "entropy": MODELS,
    "compressor": MODELS,
    "reconstruction": MODELS,
    "latency": MODELS,
    "analysis": (*TABLES, "statsmodels.formula.api"),
    "figures": (*TABLES, "matplotlib.backends.backend_agg"),
    "report": TABLES,
}
# Every shell sets its own of these; no library reads them.
SHELLS_OWN = {"_", "SHLVL", "PWD", "OLDPWD"}
MOST_FILES = 253  # in one message, by the kernel
PATIENCE = 10.0  # seconds for a request to arrive whole
PR_SET_PDEATHSIG = 1  # of prctl(2)


@dataclass(frozen=True)
class Fork:
    """A job at work.

    Attributes:
        connection: to the command that waits for it.
        process: its number.
        handle: a file descriptor that can be read from once it has ended.
    """

    connection: socket.socket
    process: int
    handle: int


class Forker:
    """Forks jobs on request until ``life``, a file descriptor, is at its end and all jobs have ended."""

    def __init__(self, listener: socket.socket, life: int) -> None:
        self._listener, self._life = listener, life
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(life, selectors.EVENT_READ)
        self._forks: dict[int, Fork] = {}  # by each of their file descriptors that is waited for
        self._environment: dict[str, str] | None = None  # under which everything was imported
        self._able = hasattr(os, "pidfd_open")  # Linux 5.3

    def serve(self) -> list[str] | None:
        """Returns in the forks too.

        Returns:
            In a fork the words of its command; in this process None, at the end.
        """
        listening = True
        while listening or self._forks:
            for key, _ in self._selector.select():
                if key.fd == self._life:
                    listening = False
                    self._selector.unregister(self._life)
                    self._selector.unregister(self._listener)
                    self._listener.close()
                    break  # what else could be read comes again
                if key.fileobj is self._listener:
                    command = self._accept()
                    if command is not None:
                        return command
                elif fork := self._forks.get(key.fd):
                    self._attend(fork, ended=key.fd == fork.handle)
        return None

    def _accept(self) -> list[str] | None:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        try:
            if user_of(connection) != os.getuid():
                raise OSError
            files, request = _receive(connection)
        except OSError:  # it has ended already, or was none of ours
            connection.close()
            return None
        process = None
        if self._stands_in_for(request["environment"], request["command"][1]):
            process = os.fork()
            if process == 0:
                self._become(request, files, connection)
                return list(request["command"])
        for file in files:
            os.close(file)
        with suppress(OSError):  # it may have ended, which the next look at the connection tells
            connection.sendall(REFUSED if process is None else FORKED)
        if process is None:
            connection.close()
            return None
        fork = Fork(connection, process, os.pidfd_open(process))
        for descriptor in (connection.fileno(), fork.handle):
            self._forks[descriptor] = fork
            self._selector.register(descriptor, selectors.EVENT_READ)
        return None

    def _stands_in_for(self, environment: dict[str, str], room: str) -> bool:
        """Whether a job of a room may be a fork of this process, which then has imported what the job needs.

        Not under another environment: libraries read it when they are imported.
        """
        environment = {name: value for name, value in environment.items() if name not in SHELLS_OWN}
        if self._able and self._environment is None and environment.get("OMP_NUM_THREADS") == "1":
            os.environ.clear()
            os.environ.update(environment)
            os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # a fork has none of its parent's threads
            self._environment = environment
        if self._environment != environment:
            return False
        self._able = self._able and _import(MODULES[room])
        return self._able

    def _become(self, request: dict[str, Any], files: list[int], connection: socket.socket) -> None:
        """Make this process, which was just forked, what the waiting command is to the system."""
        # Else the end of the forker would leave a job that nobody waits for.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        self._selector.close()
        self._listener.close()
        for fork in set(self._forks.values()):
            fork.connection.close()
            os.close(fork.handle)
        connection.close()
        # First out of the way of the numbers that they are to have.
        above = max(request["files"], default=0) + 1
        moved = [fcntl(file, F_DUPFD, above) for file in files]
        for file in files:
            os.close(file)
        for place, file in zip(request["files"], moved, strict=True):
            os.dup2(file, place)
            os.close(file)
        for number in HANDED_ON:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if number in request["ignored"] else usual)
        os.chdir(request["folder"])
        os.umask(request["mask"])
        os.environ.clear()
        os.environ.update(request["environment"] | {WAITING_VARIABLE: str(request["process"])})
        del os.environ[VARIABLE]  # or it would ask for a fork itself
        sys.argv = list(request["command"])

    def _attend(self, fork: Fork, ended: bool) -> None:
        """Hand on signals, end a job that nobody waits for any more, tell how one has ended."""
        if ended:
            _, status = os.waitpid(fork.process, 0)
            with suppress(OSError):
                fork.connection.sendall(STATUS.pack(os.waitstatus_to_exitcode(status)))
            self._forget(fork.handle)
            if fork.connection.fileno() in self._forks:
                self._forget(fork.connection.fileno())
            fork.connection.close()
            os.close(fork.handle)
            return
        try:
            numbers = fork.connection.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            self._forget(fork.connection.fileno())
        for number in numbers or [signal.SIGKILL]:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fork.handle, number)

    def _forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        del self._forks[descriptor]


def _import(modules: tuple[str, ...]) -> bool:
    """Import what a job needs, as far as that is not done; whether this process can be forked then."""
    if not all(name in sys.modules for name in modules):
        gc.disable()  # imports make a million objects that stay
        for name in modules:
            importlib.import_module(name)
        gc.freeze()  # nor shall a fork look through them, which would copy the pages they are on
        gc.enable()
    # Of accelerators only one process can make use.
    torch = sys.modules.get("torch")
    return len(list(Path("/proc/self/task").iterdir())) == 1 and not (torch and torch.cuda.device_count())


def _receive(connection: socket.socket) -> tuple[list[int], dict[str, Any]]:
    """The open files and the request of a waiting command.

    Raises:
        OSError: if it ends or stops in the middle of it.
    """
    head, files, _, _ = socket.recv_fds(connection, LENGTH.size, MOST_FILES)
    text = bytearray()
    while len(head) == LENGTH.size and len(text) < LENGTH.unpack(head)[0]:
        part = connection.recv(1 << 16)
        if not part:
            break
        text += part
    try:
        return files, json.loads(text)
    except ValueError:
        for file in files:
            os.close(file)
        raise OSError from None


def main() -> int:
    """Fork jobs, and be one of them."""
    # A signal to all processes of a run is for the jobs, which may have to save something first.
    for number in HANDED_ON:
        signal.signal(number, signal.SIG_IGN)
    forker = Forker(socket.socket(fileno=int(sys.argv[1])), sys.stdin.fileno())
    command = forker.serve()
    if command is None:
        return 0
    # By name, and only in the fork: a job runs the code that is there when it starts, as any does.
    return int(importlib.import_module("contextpress.cli").main(command[1:]))


if __name__ == "__main__":
    sys.exit(main())
