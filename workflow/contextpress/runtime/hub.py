"""Where a model or tokenizer is: in a folder, in the hub's cache, or on the hub. Told at once, not after retries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contextpress.runtime.errors import UserError, first_line, out_of_memory
from contextpress.runtime.files import reading

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

GATED = "the hub asks for consent to its terms and for a login (hf auth login)"
PATIENCE = 10.0  # seconds for the one question whether the hub can be reached and has the name


def located(kind: str, name: str | Path, revision: str | None, needed: str) -> dict[str, object]:
    """Arguments for ``from_pretrained`` that load ``name``, without the network if it is here.

    Args:
        kind: "model" or "tokenizer", for messages.
        name: a folder; or owner/name or name on the hub.
        revision: of the hub.
        needed: a file that every such folder has; empty if there is none.

    Raises:
        UserError: if there is no such folder, the hub has no such name or revision, or it cannot be reached and its
            cache has no copy.
    """
    cannot = f"{kind} {name} cannot be loaded"
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            if needed and not (folder / needed).is_file():
                raise UserError(f"{cannot}: the folder has no {needed}")
            return _arguments(str(folder), None, here=True)
        there = folder.exists()
    except (OSError, RuntimeError) as error:  # a name too long, the home of nobody
        raise UserError(f"{cannot}: there is no such folder ({error})") from None
    said = str(name)
    if isinstance(name, Path) or said.startswith((".", "/", "~")) or said.count("/") > 1 or there:
        raise UserError(f"{cannot}: there is no such folder")
    return _arguments(said, revision, here=not _on_the_hub(cannot, said, revision, needed))


def commit_of(name: str, revision: str | None, needed: str) -> str | None:
    """The commit of the hub that ``name`` was loaded from, whatever its revision is called; None for a folder."""
    if Path(name).expanduser().is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    kept = try_to_load_from_cache(name, needed, revision=revision)
    return Path(kept).parent.name if isinstance(kept, str) else None


@contextmanager
def loading(kind: str, name: str | Path, wanted: str) -> Iterator[None]:
    """Tell in one line of a model or tokenizer that cannot be loaded.

    Args:
        kind: "model" or "tokenizer", for messages.
        name: a ``Path`` is a folder that the study made, and can make anew; anything else is the user's own.
        wanted: the files that such a folder has.

    Raises:
        UserError: if the block raises an error, other than one of too little memory. What the hub does not give
            without consent is told with what to do.
    """
    if isinstance(name, Path):
        with reading(name, f"a {kind}"):
            yield
        return
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of transformers, or of any library below it
        if out_of_memory(error):
            raise
        if _is_gated(error):
            raise UserError(f"{kind} {name} cannot be loaded: {GATED}") from None
        raise UserError(
            f"{kind} {name} cannot be loaded: {first_line(error)}; {wanted} are wanted, as transformers saves them"
        ) from None


def _arguments(path: str, revision: str | None, *, here: bool) -> dict[str, object]:
    return {
        "pretrained_model_name_or_path": path,
        "revision": revision,
        "local_files_only": here,
        "trust_remote_code": False,
    }


def _on_the_hub(cannot: str, name: str, revision: str | None, needed: str) -> bool:
    """Whether the hub has ``name``; False if it cannot be reached, but the cache has a copy."""
    # Imported only now: a folder needs none of it.
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if not constants.HF_HUB_OFFLINE:
            _check_files(cannot, HfApi().model_info(name, revision=revision, timeout=PATIENCE), needed)
            return True
        cause = "HF_HUB_OFFLINE is set, so the hub is not asked"
    except UserError:
        raise
    except HFValidationError:
        raise UserError(f"{cannot}: it is neither a folder nor a name such as owner/name on the hub") from None
    except GatedRepoError:
        raise UserError(f"{cannot}: {GATED}") from None
    except RevisionNotFoundError:
        raise UserError(f"{cannot}: on the hub it has no revision {revision}") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{cannot}: there is no such folder, and no such name on the hub; check the spelling, or log in if it is "
            "private (hf auth login)"
        ) from None
    except Exception as error:  # the hub's client passes on the errors of the libraries below it
        cause = f"the hub cannot be reached ({first_line(error)})"
    if isinstance(try_to_load_from_cache(name, needed or "tokenizer_config.json", revision=revision), str):
        return False
    pinned = f" at revision {revision}" if revision else ""
    option = f" --revision {revision}" if revision else ""
    raise UserError(
        f"{cannot}: there is no such folder, nothing of that name{pinned} in the cache, and {cause}; check the "
        f"spelling, or fetch it where there is a network (hf download {name}{option})"
    )


def _check_files(cannot: str, info: ModelInfo, needed: str) -> None:
    """Refuse a model of which the hub has no config, or no weights that can be read without running code."""
    names = [file.rfilename for file in info.siblings or ()]
    if needed and names:
        if needed not in names:
            raise UserError(f"{cannot}: on the hub it has no {needed}, and is no model for transformers")
        if not any(name.endswith(".safetensors") for name in names):
            raise UserError(
                f"{cannot}: on the hub it has no weights as safetensors, and others are not read, since they can hold "
                "code; choose a revision that has them, or save it with save_pretrained and name that folder"
            )


def _is_gated(error: BaseException | None) -> bool:
    """Whether it comes of a model whose files need consent; the hub tells its name and files without."""
    from huggingface_hub.errors import GatedRepoError

    while error is not None and not isinstance(error, GatedRepoError):
        error = error.__cause__ or error.__context__
    return error is not None
