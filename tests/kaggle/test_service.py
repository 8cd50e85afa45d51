"""What the real client hides is seen: errors with exit code 0, answers that lack something, which credentials count."""

import json
import logging
import traceback
from importlib.metadata import version

import pytest
from tests.kaggle_service import KEY, SECRETS, TOKEN, USERNAME

from srstudy import StudyError
from srstudy.kaggle.service import WAITS, Infrastructure, Service


@pytest.fixture
def folder(tmp_path):
    """A notebook to push."""
    folder = tmp_path / "notebook"
    folder.mkdir()
    (folder / "n.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    about = {"id": f"{USERNAME}/srstudy-one", "title": "srstudy-one", "code_file": "n.ipynb", "language": "python"}
    about |= {"kernel_type": "notebook", "is_private": True, "enable_gpu": True, "enable_internet": False}
    (folder / "kernel-metadata.json").write_text(json.dumps(about))
    return folder


def test_what_is_pushed_is_private_on_two_t4_and_without_internet(account, folder):
    Service().push(folder, "srstudy-one")
    request = account.kernels["srstudy-one"].request
    assert (request["isPrivate"], request["machineShape"], request.get("enableInternet", False)) == (
        True, "NvidiaTeslaT4", False,
    )  # fmt: skip
    assert "enableInternet" in request  # said, since what is left out means true


@pytest.mark.parametrize("fault", [429, 500, 503])
def test_push_status_list_and_output_are_tried_again_where_kaggle_is_busy(account, folder, tmp_path, fault):
    service = Service()
    for operation in ("save_kernel", "get_kernel_session_status", "list_kernels", "list_kernel_session_output"):
        account.faults[operation] = [fault, fault]
    service.push(folder, "srstudy-one")
    assert account.started() == {"srstudy-one": 1}
    account.kernels["srstudy-one"].output = tmp_path / "left"
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "a.txt").write_text("all of it")
    account.faults["download"] = [fault, fault]
    assert (service.status("srstudy-one"), service.sessions("srstudy-")) == ("running", ["srstudy-one"])
    service.output("srstudy-one", tmp_path / "new", "a.txt")
    assert (tmp_path / "new" / "a.txt").read_text() == "all of it"


def test_a_push_that_came_through_before_its_error_is_not_made_again(account, folder):
    account.faults["save_kernel"] = ["after"]
    Service().push(folder, "srstudy-one")
    assert account.started() == {"srstudy-one": 1}


def test_attempts_are_bounded(account, folder):
    service = Service()
    account.faults["save_kernel"], account.calls[:] = [503] * 99, []
    with pytest.raises(Infrastructure, match=r"^push srstudy-one: Kaggle is busy \(503\); run again later\.$"):
        service.push(folder, "srstudy-one")
    assert 1 < account.calls.count("save_kernel") <= len(WAITS) + 1


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ({"error": "Kernel text is too large"}, StudyError, "did not take it: Kernel text is too large"),
        ({"error": "Maximum batch GPU session count of 2 reached."}, Infrastructure, "session count of 2 reached"),
        ({}, StudyError, "no address of what was pushed"),
        ({"ref": "r", "url": "u", "invalidDatasetSources": ["someone/photos"]}, StudyError, "left out someone/photos"),
        ({"ref": "r", "url": "u", "invalidModelSources": ["a/model"]}, StudyError, "left out a/model"),
    ],
)
def test_an_answer_of_200_that_is_no_success_is_an_error(account, folder, answer, kind, said):
    account.faults["save_kernel"] = [answer]
    with pytest.raises(kind, match=said) as caught:
        Service().push(folder, "srstudy-one")
    assert kind is not StudyError or not isinstance(caught.value, Infrastructure)


def test_a_status_that_is_missing_does_not_pass_for_queued(account, folder):
    service = Service()
    service.push(folder, "srstudy-one")
    account.faults["get_kernel_session_status"] = [{}]
    with pytest.raises(Infrastructure, match="names no status"):
        service.status("srstudy-one")
    assert service.status("srstudy-never") is None
    account.faults["get_kernel_session_status"] = [403]  # of one that is there
    with pytest.raises(Infrastructure, match="lists it, but refuses to say its status"):
        service.status("srstudy-one")


def test_a_data_set_is_private_waited_for_and_made_once(account, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.npy").write_bytes(b"tiles")
    about = {"id": f"{USERNAME}/srstudy-set", "title": "srstudy-set", "licenses": [{"name": "other"}]}
    (tmp_path / "set" / "dataset-metadata.json").write_text(json.dumps(about))
    account.faults |= {"create_dataset": [503], "upload": [500]}
    for _ in range(2):
        Service().dataset(tmp_path / "set", "srstudy-set")
    made = account.datasets["srstudy-set"]
    assert (made["files"], made["private"], made["asked"] > 1) == ({"a.npy": b"tiles"}, True, True)
    account.faults["get_dataset_status"] = [{"status": "READY"}, {"status": "FAILED"}]
    with pytest.raises(StudyError, match="could not read this data set"):
        Service().dataset(tmp_path / "set", "srstudy-set")
    made["files"].clear()  # the client goes on without a file that it could not upload
    with pytest.raises(StudyError, match=r"lacks a\.npy, whose upload failed"):
        Service().dataset(tmp_path / "set", "srstudy-set")


def test_a_dead_token_that_would_shadow_a_good_key_is_named(account, monkeypatch, home):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of_last_year_00")
    with pytest.raises(StudyError, match=r"^KAGGLE_API_TOKEN: Kaggle does not accept this token; unset it"):
        Service()
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "access_token").write_text("KGAT_of_last_year_00")
    with pytest.raises(StudyError, match=r"^access_token: Kaggle does not accept this token"):
        Service()


def test_which_credential_is_in_force_is_said(account, monkeypatch, home):
    assert Service().credential == "a legacy key of someone"
    (home / ".kaggle").mkdir()
    logged_in = {"access_token": "old", "refresh_token": "x", "username": USERNAME, "scopes": []}
    logged_in["access_token_expiration"] = "2999-01-01T00:00:00+00:00"
    (home / ".kaggle" / "credentials.json").write_text(json.dumps(logged_in))
    assert "shadows `kaggle auth login`" in Service().credential
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StudyError, match=r"does not accept the credentials \(401\)"):  # not "a wrong slug"
        Service()
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert Service().credential == "an API token of someone"


def test_without_credentials_or_a_connection_that_is_said(account, monkeypatch):
    account.stop()
    with pytest.raises(Infrastructure, match=r"the connection failed \(ConnectionError\)"):
        Service()
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(StudyError, match="no valid Kaggle credentials found; run `kaggle auth login`"):
        Service()


@pytest.mark.skipif(not version("kaggle").startswith("1."), reason="only Python 3.10 has kaggle 1.7")
def test_a_client_that_is_too_old_is_refused():
    with pytest.raises(StudyError, match=r"^kaggle 1\.7\.[\d.]+: can't run sessions; kaggle 2 can, which needs Python"):
        Service()


LEAKING = {"error": f"bad {TOKEN} at https://host/x?sig=secret-signature-89ab"}


@pytest.mark.parametrize("fault", [401, 403, 500, LEAKING])
def test_no_secret_is_shown(account, folder, fault, caplog, capfd, monkeypatch):
    monkeypatch.setenv("VERBOSE", "true")
    service, shown = Service(), ""
    account.faults["save_kernel"] = [fault] * 99
    with caplog.at_level(logging.DEBUG), pytest.raises(StudyError) as caught:
        service.push(folder, "srstudy-one")
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in (*SECRETS, KEY) if secret in shown]
