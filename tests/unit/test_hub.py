"""Names of models that are not there: told in one line, at once, with what to do."""

from __future__ import annotations

import httpx2
import pytest
from huggingface_hub import HfApi, ModelInfo, constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from contextpress.runtime.errors import UserError
from contextpress.runtime.hub import loading, located


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that answers every question with the error given, and an empty cache; returns the questions asked."""
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def answers(error=None, files=("config.json", "model.safetensors")):
        def model_info(self, name, *, revision, timeout):
            asked.append((name, revision))
            if error:
                raise error
            return ModelInfo(id=name, siblings=[{"rfilename": file} for file in files])

        monkeypatch.setattr(HfApi, "model_info", model_info)
        return asked

    return answers


def _http(kind):
    return kind("no", response=httpx2.Response(404, request=httpx2.Request("GET", "https://hub.example")))


def test_a_folder_is_loaded_without_asking_the_hub(hub, tmp_path, monkeypatch):
    asked = hub()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, path in (("mine", "mine"), (tmp_path / "mine", str(tmp_path / "mine")), ("~/mine", f"{tmp_path}/mine")):
        found = located("model", name, None, "config.json")
        assert (found["pretrained_model_name_or_path"], found["local_files_only"]) == (path, True)
    assert asked == []


def test_a_name_on_the_hub_is_loaded_from_there(hub):
    asked = hub()
    found = located("model", "owner/name", "abc", "config.json")
    assert found["pretrained_model_name_or_path"] == "owner/name"
    assert found["revision"] == "abc"
    assert not found["local_files_only"]
    assert asked == [("owner/name", "abc")]


@pytest.mark.parametrize("name", ["./no", "/no/such", "~/no", "a/b/c", "../no"])
def test_what_looks_like_a_folder_and_is_none_is_told_without_asking_the_hub(hub, name):
    asked = hub()
    with pytest.raises(UserError, match=f"^model {name} cannot be loaded: there is no such folder$"):
        located("model", name, None, "config.json")
    assert asked == []


def test_a_folder_without_a_model_is_told(hub, tmp_path):
    hub()
    with pytest.raises(UserError, match=r"the folder has no config\.json"):
        located("model", tmp_path, None, "config.json")
    with pytest.raises(UserError, match="there is no such folder"):
        located("tokenizer", tmp_path / "nowhere", None, "")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_http(RepositoryNotFoundError), "no such name on the hub; check the spelling"),
        (_http(RevisionNotFoundError), "on the hub it has no revision abc"),
        (_http(GatedRepoError), r"consent to its terms and for a login \(hf auth login\)"),
        (_http(HfHubHTTPError), "hf download no/such --revision abc"),
        (httpx2.ConnectError("no route"), r"the hub cannot be reached \(no route\); check the spelling, or fetch it"),
    ],
)
def test_what_the_hub_cannot_give_is_told_with_the_cause_and_the_remedy(hub, error, says):
    asked = hub(error)
    with pytest.raises(UserError, match=says) as told:
        located("model", "no/such", "abc", "config.json")
    assert str(told.value).startswith("model no/such cannot be loaded: ")
    assert len(asked) == 1


def test_offline_the_hub_is_not_asked(hub, monkeypatch):
    asked = hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set.*hf download no/such"):
        located("tokenizer", "no/such", None, "")
    assert asked == []


@pytest.mark.parametrize("offline", [True, False])
def test_a_cached_copy_serves_where_the_hub_cannot_be_reached(hub, tmp_path, monkeypatch, offline):
    hub(httpx2.ConnectError("no route"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    kept = tmp_path / "cache/models--owner--name"
    (kept / "snapshots/abc").mkdir(parents=True)
    (kept / "snapshots/abc/config.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text("abc")
    assert located("model", "owner/name", None, "config.json")["local_files_only"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            ("config.json", "pytorch_model.bin"),
            "no weights as safetensors.* choose a revision that has them",
        ),
        (("README.md", "model.gguf"), "has no config.json, and is no model for transformers"),
    ],
)
def test_a_model_on_the_hub_without_what_is_read_is_told_before_anything_is_fetched(hub, files, says):
    hub(files=files)
    with pytest.raises(UserError, match=says):
        located("model", "owner/name", None, "config.json")
    assert located("tokenizer", "owner/name", None, "")["local_files_only"] is False


def test_files_that_need_consent_are_told_with_the_remedy():
    # The hub tells of such a model whoever asks; its files it refuses, and transformers wraps that.
    refused = OSError("You are trying to access a gated repo.")
    refused.__cause__ = _http(GatedRepoError)
    for error, says in ((refused, r"hf auth login\)$"), (OSError("no such file"), "no such file; files are wanted")):
        with (
            pytest.raises(UserError, match=f"^model owner/name cannot be loaded: .*{says}"),
            loading("model", "owner/name", "files"),
        ):
            raise error


def test_a_pinned_revision_that_is_not_cached_is_told(hub, tmp_path, monkeypatch):
    hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    kept = tmp_path / "cache/models--owner--name"
    (kept / "snapshots/abc").mkdir(parents=True)
    (kept / "snapshots/abc/config.json").write_text("{}")
    assert located("model", "owner/name", "abc", "config.json")["revision"] == "abc"
    with pytest.raises(UserError, match=r"at revision def in the cache.*hf download owner/name --revision def\)"):
        located("model", "owner/name", "def", "config.json")
