"""Kaggle's client, called so that what it hides is seen: errors that look like success, and which credentials count."""

import io
import logging
import os
import random
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from srstudy import StudyError
from srstudy.photos.sources import LOG_IN, _careful_send

ACCELERATOR = "NvidiaTeslaT4"  # two T4; the client takes any text, and other names land elsewhere
WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)  # seconds before an attempt is made again, give or take a half
READY_WAIT, READY_WAITS = 10.0, 360  # seconds between two looks at a data set; how many of them
METADATA = "dataset-metadata.json"
STATES = {"QUEUED": "queued", "RUNNING": "running", "NEW_SCRIPT": "queued", "CANCEL_REQUESTED": "running"}
STATES |= {"COMPLETE": "complete", "ERROR": "failed", "CANCEL_ACKNOWLEDGED": "failed"}


class Infrastructure(StudyError):
    """Kaggle or the connection failed: the same may go well later."""


class Service:
    """The account that the client's credentials are for: its `owner`, `credential` (which of them is in force)."""

    def __init__(self) -> None:
        """Log in. Raises StudyError where no credentials are valid, or one that is not would shadow one that is; and
        under kaggle 1.7, which knows neither quota nor deletion.
        """
        if version("kaggle").startswith("1."):
            raise StudyError(f"kaggle {version('kaggle')}: can't run sessions; kaggle 2 can, which needs Python 3.11.")
        logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it writes signed addresses
        self._last: requests.Response | None = None
        self._api = self._call("log in", self._log_in)
        values, home = self._api.config_values, Path.home() / ".kaggle"
        self.owner, method = values["username"], str(values.get("auth_method", "")).rpartition(".")[2]
        tokens = ["KAGGLE_API_TOKEN"] if os.environ.get("KAGGLE_API_TOKEN") else []
        tokens += [path.name for path in sorted(home.glob("access_token*"))]
        if tokens and method != "ACCESS_TOKEN":  # the client would send it all the same, instead of what is valid
            raise StudyError(f"{tokens[0]}: Kaggle does not accept this token; unset it, or create another one.")
        names = {"ACCESS_TOKEN": "an API token", "LEGACY_API_KEY": "a legacy key", "OAUTH": "`kaggle auth login`"}
        self.credential = f"{names.get(method, 'unknown credentials')} of {self.owner}"
        if method == "LEGACY_API_KEY" and (home / "credentials.json").is_file():
            self.credential += " (which shadows `kaggle auth login`; remove kaggle.json to use that)"
        self.quota()  # one cheap call, which an expired log-in does not survive

    def quota(self) -> float:
        """GPU hours that are left this week."""
        gpu = self._call("quota", self._api.quota_view).gpu_quota
        if gpu is None or gpu.total_time_allowed is None:
            raise StudyError("quota: Kaggle names no GPU quota; verify your phone number on Kaggle under Settings.")
        spent = (gpu.time_used, gpu.time_reserved)
        return (gpu.total_time_allowed.total_seconds() - sum(x.total_seconds() for x in spent if x)) / 3600

    def sessions(self, prefix: str) -> list[str]:
        """Slugs of this account's kernels that begin with `prefix`."""
        slugs, token = [], None
        while True:
            options = {"mine": True, "page_size": 100, "sort_by": "dateRun", "page_token": token}
            page = self._call("list", self._api.kernels_list_with_response, **options)
            slugs += [one.ref.partition("/")[2] for one in page.kernels or [] if one.ref]
            if not (token := page.next_page_token):
                return [slug for slug in slugs if slug.startswith(prefix)]

    def status(self, slug: str) -> str | None:
        """queued, running, complete or failed; None if there is no such kernel."""
        found = self._call(f"status of {slug}", self._api.kernels_status, f"{self.owner}/{slug}", missing=(403, 404))
        if found is None:
            if slug in self.sessions(slug):
                raise Infrastructure(f"{slug}: Kaggle lists it, but refuses to say its status; ask again later.")
            return None
        if "status" not in self._last.json():  # which the client takes for QUEUED
            raise Infrastructure(f"{slug}: Kaggle's answer names no status; ask again later.")
        return STATES[found.status.name]

    def push(self, folder: Path, slug: str) -> None:
        """Push the notebook in `folder`, once: after an error, the account is asked whether it came through.

        Raises Infrastructure where both cards' sessions are taken, or it fails again and again; StudyError where Kaggle
        refuses it, or drops what it needs.
        """
        for wait in (*WAITS, None):
            try:
                answer = self._call(f"push {slug}", self._api.kernels_push, str(folder), acc=ACCELERATOR, waits=())
                break
            except Infrastructure:
                time.sleep(wait or 0)
                if self.status(slug) is not None:
                    return
                if wait is None:
                    raise
        if answer is None or answer.error or not (answer.url or answer.ref):
            said = _plain((answer and answer.error) or "it gives no address of what was pushed")
            kind = Infrastructure if re.search(r"maximum|quota|try again", said, re.IGNORECASE) else StudyError
            raise kind(f"{slug}: Kaggle did not take it: {said}; `make kaggle-status` says what runs.")
        lists = ("dataset", "kernel", "model", "competition")
        dropped = [name for kind in lists for name in getattr(answer, f"invalid_{kind}_sources") or []]
        if dropped:
            raise StudyError(f"{slug}: Kaggle left out {', '.join(dropped)}; `make kaggle-stop`, then push it again.")

    def output(self, slug: str, folder: Path, pattern: str) -> None:
        """Fetch the files of a kernel whose names match `pattern`, and its log, into `folder`, a new one."""
        kernel = f"{self.owner}/{slug}"
        self._call(f"output of {slug}", self._api.kernels_output, kernel, str(folder), pattern, True)

    def delete(self, slug: str) -> None:
        """Delete a kernel, and with it what runs: Kaggle has no other way to stop it."""
        self._call(f"delete {slug}", self._api.kernels_delete, f"{self.owner}/{slug}", True, missing=(403, 404))

    def dataset(self, folder: Path, slug: str) -> None:
        """Make a private data set of `folder`, unless the account has it, and wait until it is ready.

        Raises StudyError where Kaggle refuses it or fails to read it.
        """
        name, kind = f"{self.owner}/{slug}", f"data set {slug}"
        if self._call(kind, self._api.dataset_status, name, missing=(403, 404)) in (None, "deleted"):
            answer = self._call(kind, self._api.dataset_create_new, str(folder), quiet=True)
            if (answer.error or str(answer.status).lower() not in ("ok", "")) and "in use" not in str(answer.error):
                raise StudyError(f"{slug}: Kaggle did not take the data set: {_plain(answer.error)}; try again.")
        for _ in range(READY_WAITS):
            state = self._call(kind, self._api.dataset_status, name, missing=(403, 404))
            if state == "ready":
                there = self._call(kind, self._api.dataset_list_files, name).files or []
                if lost := {path.name for path in folder.iterdir()} - {one.name for one in there} - {METADATA}:
                    raise StudyError(f"{slug}: lacks {min(lost)}, whose upload failed; delete it there, push again.")
                return
            if state in ("failed", "deleted"):
                raise StudyError(f"{slug}: Kaggle could not read this data set; delete it there, then push again.")
            time.sleep(READY_WAIT)
        raise Infrastructure(f"{slug}: is not ready yet; run again later.")

    def _log_in(self) -> Any:
        from kaggle.api.kaggle_api_extended import KaggleApi  # logs in while it is imported

        client = KaggleApi()
        client.args = []  # "--verbose", which VERBOSE=true brings, prints tokens
        client.authenticate()
        return client

    def _send(self, *request: Any, **options: Any) -> requests.Response:
        self._last = _careful_send(*request, **options)
        return self._last

    def _call(
        self, what: str, function: Callable, *values: Any, waits: tuple[float, ...] = WAITS,
        missing: tuple[int, ...] = (), **options: Any,
    ) -> Any:  # fmt: skip
        """Call the client, again where Kaggle is busy; None for a status in `missing`. What it prints is not shown."""
        for wait in (*waits, None):
            try:
                hidden = patch.object(requests.Session, "send", lambda *a, **k: self._send(*a, **k))
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), hidden:
                    return function(*values, **options)
            except (Exception, SystemExit) as error:
                failure = error if _status(error) not in missing else None
            if failure is None:
                return None
            trouble = _trouble(what, failure)
            if wait is None or not isinstance(trouble, Infrastructure):
                raise trouble
            time.sleep(wait * random.uniform(0.5, 1.5))


def _status(error: BaseException | None) -> int:
    """The HTTP status behind an error, or behind the one that the client made of it; 0 if there is none."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            return response.status_code
        error = error.__cause__ or error.__context__
    return 0


def _trouble(what: str, error: BaseException) -> StudyError:
    status = _status(error)
    if status == 401:
        return StudyError(f"{what}: Kaggle does not accept the credentials (401); {LOG_IN}.")
    if status == 429 or status >= 500:
        return Infrastructure(f"{what}: Kaggle is busy ({status}); run again later.")
    if status:
        return StudyError(f"{what}: Kaggle refuses it ({status}); check the account's rights and names on Kaggle.")
    if isinstance(error, requests.RequestException):
        return Infrastructure(f"{what}: the connection failed ({type(error).__name__}); run again later.")
    if isinstance(error, SystemExit) or (isinstance(error, OSError) and error.errno is None):
        return StudyError(f"{what}: no valid Kaggle credentials found; {LOG_IN}.")
    return StudyError(f"{what}: Kaggle's client failed: {_plain(str(error) or type(error).__name__)}; run again.")


def _plain(text: str) -> str:
    """A text of Kaggle's or its client's without addresses and whatever may be a secret."""
    hidden = r"https?://\S+|KGAT_\w+|\b[0-9a-fA-F]{32,}\b|Bearer \S+"
    return re.sub(hidden, "...", " ".join(str(text).split())).rstrip(".")
