"""Kaggle through its official client (`kaggle` 2; 1.7 under Python 3.10): log in, ask, say what a refusal means."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from srstudy.errors import StudyError
from srstudy.settings import Source

TIMEOUT = 60.0  # seconds without a byte after which a connection counts as cut
RETRIES = 5  # attempts in a row that may bring nothing
LONGEST_WAIT = 600.0  # seconds
LOG_IN = (
    "run `kaggle auth login`, or create a token on Kaggle under Settings > API and set KAGGLE_API_TOKEN to it "
    "(under Python 3.10: create a legacy key, and set KAGGLE_USERNAME and KAGGLE_KEY)"
)


@contextlib.contextmanager
def request_archive(name: str, source: Source, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Log in and ask for the archive of a source, with `headers` besides the client's own. The body is still to come.

    Raises StudyError when there are no credentials, and requests.RequestException, whose text may hold a signed
    address.
    """
    # The client prints pages of advice, and that there is a newer version: none of it belongs in a notebook.
    quiet = contextlib.redirect_stdout(io.StringIO())
    with quiet:
        client = _log_in(name).build_kaggle_client()
    with client as kaggle:
        session = kaggle.http_client()._session  # there is no public place for headers and time limits
        session.headers.update(headers)
        session.stream = True
        session.send = partial(session.send, timeout=TIMEOUT)
        with quiet:
            response = _ask(kaggle, source)
        with response:
            yield response


def pause(name: str, source: Source, error: requests.RequestException, failures: int) -> float:
    """Seconds until the next attempt, after `failures` in a row: what the service asks for, or twice as long each time.

    Raises StudyError, which says what to do, when another attempt is of no use.
    """
    status = status_of(error)
    what = source.kaggle if source.version is None else f"{source.kaggle} version {source.version}"
    refusals = {
        401: f"Kaggle does not accept the credentials (401); {LOG_IN}",
        403: f"Kaggle refuses {what} (403); open its page, accept its terms or rules, check the name, and run again",
        404: f"Kaggle has no {what} (404); correct `kaggle` or `version`",
    }
    if status in refusals:
        raise StudyError(f"data.sources.{name}: {refusals[status]}.")
    if status is not None and status < 500 and status not in (416, 429):
        raise StudyError(f"data.sources.{name}: Kaggle answers {what} with error {status}; set `path` to a copy of it.")
    if failures > RETRIES:
        raise StudyError(
            f"data.sources.{name}: {failures} attempts in a row failed ({trouble(error)}); run again later, the "
            "download goes on where it stopped."
        )
    asked = _retry_after(error.response)
    if asked is not None and asked > LONGEST_WAIT:
        raise StudyError(f"data.sources.{name}: Kaggle asks to come back in {asked / 60:.0f} minutes; run again then.")
    return 2.0**failures if asked is None else asked


def status_of(error: requests.RequestException) -> int | None:
    """The HTTP status of an error, None when there was no answer."""
    return None if error.response is None else error.response.status_code


def trouble(error: requests.RequestException) -> str:
    """What went wrong, in words that hold no address."""
    if error.response is not None:
        return f"Kaggle answers {error.response.status_code}"
    return f"the connection failed: {type(error).__name__}"


def _log_in(name: str) -> Any:
    """The client, logged in by whatever credentials it accepts. Raises StudyError where there are none."""
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi  # logs in while it is imported

        api = KaggleApi()
        # "--verbose", which VERBOSE=true in the environment brings, prints tokens and holds whole archives in memory
        api.args = [option for option in api.args if option == "--local"]
        api.authenticate()
        return api
    except requests.RequestException:
        raise
    except (SystemExit, OSError, ValueError):  # kaggle 2 exits, kaggle 1.7 raises the others
        pass
    raise StudyError(f"data.sources.{name}: no valid Kaggle credentials found; {LOG_IN}.")


def _ask(kaggle: Any, source: Source) -> requests.Response:
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    owner, _, slug = source.kaggle.partition("/")
    if owner == "competitions":
        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        return kaggle.competitions.competition_api_client.download_data_files(request)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = owner, slug
    request.dataset_version_number = source.version
    return kaggle.datasets.dataset_api_client.download_dataset(request)


def _retry_after(response: requests.Response | None) -> float | None:
    try:
        return None if response is None else Retry().get_retry_after(response.raw)
    except InvalidHeader:
        return None
