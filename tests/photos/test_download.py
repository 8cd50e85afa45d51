"""Archives come whole or not at all, by the real client from a stand-in for the service; no secret is ever shown."""

import importlib.metadata
import io
import json
import logging
import random
import time
import traceback
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.kaggle_service import KEY, SECRETS, TOKEN, USERNAME, Cut, KaggleService, Refuse

from srstudy import StudyError
from srstudy.photos import sources
from srstudy.photos.sources import download
from srstudy.settings import Source

SOURCE = Source(title="Photos", licence="CC0", images="*.jpg", native="any", kaggle="owner/photos")
MEGABYTE = 1 << 20  # the client writes so much at a time
OLD = importlib.metadata.version("kaggle").startswith("1.")
needs_kaggle_2 = pytest.mark.skipif(OLD, reason="kaggle 1.7 knows keys only, and resumes nothing")


@pytest.fixture
def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("im1.jpg", random.Random(1).randbytes(5 * MEGABYTE))
    return packed.getvalue()


@pytest.fixture
def kaggle(archive, kaggle_service) -> KaggleService:
    kaggle_service.archives["owner/photos"] = archive
    return kaggle_service


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds between the client's attempts, which pass at once."""
    monkeypatch.setattr(time, "sleep", (seconds := []).append)
    return seconds


def failure(folder, source=SOURCE) -> str:
    with pytest.raises(StudyError, match=r"^data\.sources\.photos: ") as caught:
        download("photos", source, folder)
    assert not list(folder.glob("*/[!.]*.zip"))
    return str(caught.value)


def ranges(kaggle) -> list[str | None]:
    return [headers.get("Range") for headers in kaggle.asked("store")]


def test_an_archive_comes_whole_and_alone_and_once_even_for_two_runs_at_a_time(kaggle, tmp_path, archive, capfd):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: download("photos", SOURCE, tmp_path), range(3)))
    assert [path.read_bytes() for path in paths] == [archive] * 3
    assert [path.name for path in (tmp_path / "owner").iterdir() if path.suffix != ".lock"] == ["photos.zip"]
    assert len(kaggle.asked("store")) == 1
    printed, shown = capfd.readouterr()
    assert (printed, "100%" in shown, "B/s]" in shown) == ("", True, True)


def test_a_version_and_a_competition_are_downloaded_as_well_each_to_its_place(kaggle, tmp_path, archive):
    kaggle.archives["competitions/faces"] = archive
    changes = {}, {"version": 3}, {"kaggle": "competitions/faces"}
    paths = {download("photos", SOURCE.model_copy(update=change), tmp_path) for change in changes}
    assert [path.read_bytes() for path in paths] == [archive] * 3
    assert [asked["version"] for asked in kaggle.asked("ask")] == ["newest", "3", "newest"]


PAIR = json.dumps({"username": USERNAME, "key": KEY})
LOGGED_IN = {"access_token": TOKEN, "refresh_token": "x", "username": USERNAME, "scopes": []}
LOGGED_IN["access_token_expiration"] = "2999-01-01T00:00:00+00:00"  # as `kaggle auth login` leaves it
GIVEN = [
    ({"KAGGLE_USERNAME": USERNAME, "KAGGLE_KEY": KEY}, {}),
    ({}, {"kaggle.json": PAIR}),
    pytest.param({"KAGGLE_API_TOKEN": TOKEN}, {}, marks=needs_kaggle_2),
    pytest.param({}, {"access_token": TOKEN}, marks=needs_kaggle_2),
    pytest.param({}, {"credentials.json": json.dumps(LOGGED_IN)}, marks=needs_kaggle_2),
]


@pytest.mark.parametrize(("variables", "files"), GIVEN)
def test_credentials_are_taken_wherever_the_client_takes_them(kaggle, tmp_path, home, monkeypatch, variables, files):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (home / ".kaggle").mkdir()
    for name, text in files.items():
        (home / ".kaggle" / name).write_text(text)
    assert download("photos", SOURCE, tmp_path).is_file()


@pytest.mark.parametrize("token", [None, pytest.param("KGAT_of_last_year", marks=needs_kaggle_2)])
def test_without_valid_credentials_two_ways_to_get_some_are_named_and_nothing_else_is_printed(
    kaggle, tmp_path, monkeypatch, capfd, token
):
    monkeypatch.delenv("KAGGLE_KEY")
    if token:
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    for _ in range(2):  # the client's import may fail the first time
        said = failure(tmp_path)
        assert "no valid Kaggle credentials found; run `kaggle auth login`, or " in said
        assert "set KAGGLE_API_TOKEN" in said
    assert capfd.readouterr() == ("", "")
    assert kaggle.asked("ask") == []


@pytest.mark.parametrize("at", ["ask", "store"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "Kaggle does not accept the credentials (401); run `kaggle auth login`"),
        (403, "Kaggle refuses owner/photos (403); open its page, accept its terms or rules"),
        (404, "Kaggle has no owner/photos (404); correct `kaggle` or `version`"),
        (400, "Kaggle answers owner/photos with error 400; set `path`"),
        (429, "Kaggle is busy (429); run again later, the download goes on"),
    ],
)
def test_a_refusal_is_said_in_one_sentence_with_the_way_out(kaggle, tmp_path, status, said, at):
    kaggle.faults.append(Refuse(status, at))
    assert said in failure(tmp_path)
    kaggle.stop()
    assert "the connection failed (ConnectionError); run again later" in failure(tmp_path)


@needs_kaggle_2
@pytest.mark.parametrize("verbose", ["false", "true"])  # then the client would read all of it first, to print it
def test_a_connection_that_is_cut_or_falls_silent_or_meets_an_error_goes_on_where_it_stopped(
    kaggle, tmp_path, archive, waits, monkeypatch, verbose
):
    monkeypatch.setenv("VERBOSE", verbose)
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    kaggle.faults.extend([Cut(2 * MEGABYTE, silent=True), Refuse(503, "store"), Refuse(429, "store"), Cut(MEGABYTE)])
    assert download("photos", SOURCE, tmp_path).read_bytes() == archive
    assert ranges(kaggle) == [None, *[f"bytes={2 * MEGABYTE}-"] * 3, f"bytes={3 * MEGABYTE}-"]
    assert len(waits) == 4


@needs_kaggle_2
@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_cut_again_and_again_is_given_up_and_the_next_call_goes_on_if_it_is_the_same(
    kaggle, tmp_path, archive, waits, replaced
):
    kaggle.faults.extend([Cut(2 * MEGABYTE), *[Cut(0)] * 5])
    assert "run again later, the download goes on where it stopped" in failure(tmp_path)
    packed = io.BytesIO(archive)
    if replaced:
        with zipfile.ZipFile(packed, "a") as file:
            file.writestr("another", b"")
    kaggle.archives["owner/photos"] = packed.getvalue()
    assert download("photos", SOURCE, tmp_path).read_bytes() == packed.getvalue()
    assert ranges(kaggle)[-1] == (None if replaced else f"bytes={2 * MEGABYTE}-")


@pytest.mark.parametrize("content", [b"<html>please log in</html>", b"", "half"])
def test_what_is_no_whole_zip_is_not_kept(kaggle, tmp_path, archive, content):
    kaggle.archives["owner/photos"] = archive[: len(archive) // 2] if content == "half" else content
    assert "what came is damaged (no whole zip); run again" in failure(tmp_path)
    kaggle.archives["owner/photos"] = archive
    assert download("photos", SOURCE, tmp_path).read_bytes() == archive


def test_a_full_disk_is_said(kaggle, small_disk, monkeypatch):
    monkeypatch.setenv("ADDRESS", kaggle.address)
    said = small_disk(
        "import os, pathlib, sys, time\n"
        "from tests.kaggle_service import point_client_to\n"
        "from tests.photos.test_download import SOURCE, download\n"
        "point_client_to(os.environ['ADDRESS'])\n"
        "time.sleep = bool  # the client hopes that the disk gets empty\n"
        "try:\n"
        "    download('photos', SOURCE, pathlib.Path(sys.argv[1]))\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    assert "data.sources.photos: the disk is full; free some space and run again" in said


TROUBLES = [], [Cut(1000)] * 9, [Refuse(403)], [Refuse(500, "store")] * 9, [Refuse(500, "log-in")] * 20


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("by_token", [False, pytest.param(True, marks=needs_kaggle_2)])
def test_no_secret_is_shown_or_kept_nor_is_the_store_told_the_key(
    kaggle, tmp_path, monkeypatch, waits, caplog, capfd, trouble, by_token
):
    monkeypatch.setenv("VERBOSE", "true")  # the client would print its requests
    if by_token:
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    kaggle.faults.extend(trouble)
    shown = ""
    with caplog.at_level(logging.DEBUG):
        try:
            download("photos", SOURCE, tmp_path)
        except StudyError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip")
    shown += caplog.text + "".join(capfd.readouterr()) + kept.decode(errors="replace")
    assert not [secret for secret in SECRETS if secret in shown]
    assert not any("Authorization" in headers for headers in kaggle.asked("store"))
