"""Use trained compressors, look after runs, run single steps of the pipeline.

``contextpress ROOM STEP`` is what the workflow's rules call. A step is a function of a room's ``steps`` module. Its
keyword-only parameters are the command's options, by annotation: a spec is JSON, or the name of a file that holds it
(Linux refuses arguments of more than 128 KiB), ``Path`` is one path, ``list[Path]`` one or more.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import json
import logging
import os
import signal
import sys
import typing
from collections.abc import Callable
from pathlib import Path

from contextpress.runtime.errors import UserError
from contextpress.runtime.forks import run_in_fork
from contextpress.runtime.runs import signed_in
from contextpress.runtime.spec import Spec
from contextpress.runtime.troubles import told

COMMANDS = {
    "compare": "hold two studies side by side, in a page of their own",
    "compress": "press texts into a memory file, by a trained compressor",
    "reconstruct": "write back the texts of a memory file",
    "advise": "predict how well a text would be reconstructed",
    "status": "show the jobs at work, losses, and the time left",
    "tensorboard": "write the losses of a study as files for TensorBoard",
}
ROOMS = {
    "corpus": "documents per domain, split by source file",
    "tokens": "tokenizer, token arrays, passages, control ladder",
    "lm": "pretrain or load a causal language model",
    "entropy": "score passages, bucket them, measure the gap of a pair",
    "compressor": "train a compressor for an encoder-decoder pair",
    "reconstruction": "reconstruct held-out passages and measure the result",
    "latency": "time encoder and decoder by size of model",
    "analysis": "join the observations, test each claim",
    "figures": "draw one figure",
    "report": "write the summary of a study",
}

Step = Callable[..., None]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 2 a mistake of the user, told in one line."""
    # Its bars and reports would bury the one line that tells of a mistake. Read when transformers is imported.
    os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | os.environ
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    # Imports make a million objects that stay. To look among them for cycles, as Python does after every 700 new ones,
    # took 1.3 of the 5.5 s in which a training step imports torch and transformers.
    gc.set_threshold(100_000, 20, 100)
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] and arguments[0] in ROOMS and (status := run_in_fork(arguments)) is not None:
            return status
        with signed_in():
            _run(arguments)
    except Exception as error:
        line = told(error, *arguments[: 1 if set(arguments[:1]) <= COMMANDS.keys() else 2])
        if line is None:
            raise
        sys.stderr.write(f"contextpress: {line}\n")
        return 2
    except KeyboardInterrupt:
        # No traceback, and an end by the signal, from which a shell knows that the user wants the rest to end too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


def _run(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="contextpress",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"{', '.join(ROOMS)}: rooms of the pipeline; contextpress ROOM --help lists the steps of one.",
    )
    choices = parser.add_subparsers(dest="name", required=True, metavar="COMMAND | ROOM STEP")
    for name, summary in (COMMANDS | ROOMS).items():
        choices.add_parser(name, help=summary, add_help=False)
    name = parser.parse_known_args(arguments)[0].name
    if name in COMMANDS:
        _run_command(name, arguments[1:])
    else:
        _run_step(name, arguments[1:])


def _run_command(name: str, arguments: list[str]) -> None:
    # By name and only now: no step depends on the commands, and not every command needs torch.
    command = importlib.import_module(f"contextpress.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"contextpress {name}", description=COMMANDS[name])
    command.add_options(parser)
    command.run(parser.parse_args(arguments))


def _run_step(room: str, arguments: list[str]) -> None:
    steps = _steps(room)
    parser = argparse.ArgumentParser(prog=f"contextpress {room}", description=ROOMS[room])
    choices = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, step in steps.items():
        _add_options(choices.add_parser(name, help=_summary(step), description=step.__doc__), step)
    options = vars(parser.parse_args(arguments))
    step = steps[options.pop("step")]
    kinds = typing.get_type_hints(step)
    step(**{name: _value(kinds[name], value) for name, value in options.items()})


def _steps(room: str) -> dict[str, Step]:
    # Imported only now: a step that needs no torch must not wait for it.
    module = importlib.import_module(f"contextpress.{room}.steps")
    return {
        name.replace("_", "-"): value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def _summary(step: Step) -> str:
    return (step.__doc__ or "").splitlines()[0]


def _add_options(parser: argparse.ArgumentParser, step: Step) -> None:
    kinds = typing.get_type_hints(step)
    for name, parameter in inspect.signature(step).parameters.items():
        flag, needed = "--" + name.replace("_", "-"), parameter.default is inspect.Parameter.empty
        default = None if needed else parameter.default
        if kinds[name] in (list[Path], list[Path] | None):
            parser.add_argument(flag, nargs="*", type=Path, required=needed, default=default)
        elif isinstance(kinds[name], type) and issubclass(kinds[name], Spec):
            parser.add_argument(flag, required=needed, default=default, help=f"{kinds[name].__name__}, JSON or a file")
        else:
            parser.add_argument(flag, type=Path, required=needed, default=default)


def _value(kind: object, value: object) -> object:
    if isinstance(kind, type) and issubclass(kind, Spec) and isinstance(value, str):
        try:
            text = value if value.startswith(("{", "[")) else Path(value).read_text(encoding="utf-8")
            return kind.read(json.loads(text))
        except (ValueError, RecursionError) as error:  # brackets in thousands, beside what is not JSON
            raise UserError(f"--spec is not JSON: {error}") from None
        except OSError as error:
            raise UserError(f"--spec is neither JSON nor a file that can be read: {error.strerror}") from None
    return value


if __name__ == "__main__":
    sys.exit(main())
