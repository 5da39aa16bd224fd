"""What a run shows of its progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest

from tests.workflow.running import SMOKE, environment, snakemake

pytestmark = pytest.mark.workflow
BAR = "─" * 10  # of the table's head, where the jobs are counted


def test_a_terminal_gets_drawings(checkout):
    mine, theirs = pty.openpty()
    said: list[bytes] = []
    listener = threading.Thread(target=_listen, args=(mine, said))
    listener.start()
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", SMOKE]
    done = subprocess.run(command, cwd=checkout, env=environment() | {"TERM": "xterm"}, stderr=theirs, timeout=300)
    os.close(theirs)
    listener.join()
    text = b"".join(said).decode()
    assert done.returncode == 0, text
    assert BAR in text
    assert "compressor" in text


def test_a_pipe_gets_lines(checkout):
    done = snakemake(checkout, "-n")
    assert done.returncode == 0
    said = done.stdout + done.stderr
    assert BAR not in said
    assert "\x1b" not in said
    assert "rule compressor:" in said


def _listen(descriptor: int, said: list[bytes]) -> None:
    try:
        while part := os.read(descriptor, 65536):
            said.append(part)
    except OSError:  # how Linux tells that the other end is closed
        pass
