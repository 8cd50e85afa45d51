"""Archives come whole or not at all, by the real client from a stand-in for the service; no secret is ever shown."""

from __future__ import annotations

import contextlib
import email.utils
import importlib.metadata
import io
import json
import logging
import signal
import subprocess
import sys
import time
import traceback
import zipfile

import pytest
from filelock import FileLock
from tests.kaggle_service import KEY, SECRETS, TOKEN, USERNAME, Cut, KaggleService, Refuse, Stall

from srstudy.data import kaggle_client
from srstudy.data.download import CHUNK, download, origin_of
from srstudy.errors import StudyError
from srstudy.settings import Source

NAME = "owner/photos"
SOURCE = Source(title="Photos", licence="", images="*.jpg", native="", kaggle=NAME)
KAGGLE_2 = importlib.metadata.version("kaggle").startswith("2")
needs_kaggle_2 = pytest.mark.skipif(not KAGGLE_2, reason="kaggle 1.7 knows keys only")


@pytest.fixture(scope="module")
def archive(root) -> bytes:
    """A zip of four photographs, twelve chunks long."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted((root / "data" / "sample" / "photos").iterdir())[:4]:
            file.write(path, path.name)
    return packed.getvalue()


@pytest.fixture
def kaggle(archive, kaggle_service) -> KaggleService:
    """The stand-in with one archive, and a key in the environment."""
    kaggle_service.archives[NAME] = archive
    return kaggle_service


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "photos.zip"


class Waits(list):
    """Takes the place of `time.sleep`: remembers the seconds."""

    __call__ = list.append


def names(folder) -> list[str]:
    """What lies in a folder, locks left out: they may stay, and mean nothing."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def failure(target, source=SOURCE, wait=bool) -> str:
    """What a download says that fails."""
    with pytest.raises(StudyError) as caught:
        download("photos", source, target, wait)
    assert not target.exists()
    return str(caught.value)


def test_an_archive_comes_whole_and_says_what_it_is_a_copy_of(kaggle, target, archive):
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive
    assert names(target.parent) == ["photos.zip", "photos.zip.json"]
    origin = origin_of(target)
    assert (origin.kaggle, origin.version, origin.size) == (NAME, None, len(archive))


def test_the_newest_version_is_asked_for_unless_one_is_named(kaggle, target):
    download("photos", SOURCE, target)
    target.unlink()
    download("photos", Source(**{**vars(SOURCE), "version": 3}), target)
    newest, third = (asked["version"] for asked in kaggle.asked("ask"))
    assert newest in ("None", "0")
    assert third == "3"
    assert origin_of(target).version == 3


def test_a_competition_is_downloaded_as_well(kaggle, target, archive):
    kaggle.archives["competitions/faces"] = archive
    download("photos", Source(**{**vars(SOURCE), "kaggle": "competitions/faces"}), target)
    assert target.read_bytes() == archive


def test_rate_and_time_left_are_shown(kaggle, target, capsys):
    download("photos", SOURCE, target)
    assert "photos: 100%" in capsys.readouterr().err
    kaggle.faults.append(Cut(8 * CHUNK))
    target.unlink()
    download("photos", SOURCE, target, Waits())
    said = capsys.readouterr().err
    assert "B/s]" in said
    assert "photos: the connection failed: ChunkedEncodingError; next attempt in 2 s" in said


# Credentials


def in_environment(home, monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", USERNAME)
    monkeypatch.setenv("KAGGLE_KEY", KEY)


def in_home(home, monkeypatch):
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": USERNAME, "key": KEY}))


def in_a_folder_named_in_the_environment(home, monkeypatch):
    (home / "keys").mkdir()
    (home / "keys" / "kaggle.json").write_text(json.dumps({"username": USERNAME, "key": KEY}))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "keys"))


def as_token_in_environment(home, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)


def as_token_in_a_file(home, monkeypatch):
    (home / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / "token"))


def as_token_in_home(home, monkeypatch):
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "access_token").write_text(TOKEN)


def by_log_in(home, monkeypatch):
    """As `kaggle auth login` leaves it."""
    (home / ".kaggle").mkdir()
    given = {"access_token": TOKEN, "refresh_token": "x", "username": USERNAME, "scopes": []}
    given["access_token_expiration"] = "2999-01-01T00:00:00+00:00"
    (home / ".kaggle" / "credentials.json").write_text(json.dumps(given))


@pytest.mark.parametrize(
    "given",
    [
        in_environment,
        in_home,
        in_a_folder_named_in_the_environment,
        *(
            pytest.param(way, marks=needs_kaggle_2)
            for way in (as_token_in_environment, as_token_in_a_file, as_token_in_home, by_log_in)
        ),
    ],
)
def test_credentials_are_taken_wherever_the_client_takes_them(kaggle, target, archive, home, monkeypatch, given):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    given(home, monkeypatch)
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive


def test_without_credentials_two_ways_to_get_some_are_named_and_nothing_else_is_printed(
    kaggle, target, monkeypatch, capfd
):
    monkeypatch.delenv("KAGGLE_KEY")
    for _ in range(2):  # the client's import fails the first time
        said = failure(target)
        assert said.startswith("data.sources.photos: no valid Kaggle credentials found; run `kaggle auth login`, or ")
        assert "set KAGGLE_API_TOKEN" in said
    assert capfd.readouterr() == ("", "")
    assert kaggle.asked("ask") == []


@needs_kaggle_2
def test_an_expired_token_counts_as_none(kaggle, target, monkeypatch):
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of_last_year")
    assert "no valid Kaggle credentials" in failure(target)


@needs_kaggle_2
def test_a_busy_log_in_is_tried_again(kaggle, target, archive, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    # twice: the client logs in while it is imported, and says nothing of what goes wrong then
    kaggle.faults.extend([Refuse(503, at="log-in"), Refuse(503, at="log-in")])
    download("photos", SOURCE, target, waits := Waits())
    assert target.read_bytes() == archive
    assert waits == [2]


def test_credentials_that_kaggle_does_not_know_are_refused_with_the_way_out(kaggle, target, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "of-somebody-else")
    said = failure(target)
    assert "does not accept the credentials (401); run `kaggle auth login`" in said


# Refusals


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, rf"Kaggle refuses {NAME} \(403\); open its page, accept its terms or rules"),
        (404, rf"Kaggle has no {NAME} \(404\); correct `kaggle` or `version`"),
        (400, rf"Kaggle answers {NAME} with error 400; set `path`"),
    ],
)
@pytest.mark.parametrize("at", ["ask", "store"])
def test_a_refusal_is_said_at_once_with_the_way_out(kaggle, target, status, message, at):
    kaggle.faults.append(Refuse(status, at=at))
    with pytest.raises(StudyError, match=rf"^data\.sources\.photos: {message}"):
        download("photos", SOURCE, target, waits := Waits())
    assert waits == []
    assert names(target.parent) == []


def test_an_unknown_data_set_and_version_are_named(kaggle, target):
    said = failure(target, Source(**{**vars(SOURCE), "kaggle": "owner/phtos", "version": 2}))
    assert "Kaggle has no owner/phtos version 2 (404)" in said


def test_a_busy_service_is_given_the_time_it_asks_for(kaggle, target, archive):
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    kaggle.faults.extend([Refuse(429, "7"), Refuse(429, later, at="store"), Refuse(503, "3"), Refuse(429, "soon")])
    download("photos", SOURCE, target, waits := Waits())
    assert target.read_bytes() == archive
    assert waits == [7, pytest.approx(100, abs=20), 3, 2.0**4]


def test_a_service_that_asks_for_too_long_is_left_to_the_user(kaggle, target):
    kaggle.faults.append(Refuse(429, "7200"))
    waits = Waits()
    assert "asks to come back in 120 minutes" in failure(target, wait=waits)
    assert waits == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_stays_broken_is_given_up_after_ever_longer_waits(kaggle, target, status):
    kaggle.faults.extend([Refuse(status)] * 20)
    waits = Waits()
    assert f"6 attempts in a row failed (Kaggle answers {status})" in failure(target, wait=waits)
    assert waits == [2, 4, 8, 16, 32]
    assert len(kaggle.asked("ask")) == 6


def test_a_service_that_is_away_is_given_up(kaggle, target):
    kaggle.stop()
    assert "attempts in a row failed (the connection failed: ConnectionError)" in failure(target)


# Interruptions


@pytest.mark.parametrize("verbose", ["false", "true"])  # then the client would read all of it first, to print it
def test_a_cut_connection_goes_on_where_it_stopped(kaggle, target, archive, monkeypatch, verbose):
    monkeypatch.setenv("VERBOSE", verbose)
    kaggle.faults.extend([Cut(5 * CHUNK), Cut(2 * CHUNK)])
    download("photos", SOURCE, target, waits := Waits())
    assert target.read_bytes() == archive
    ranges = [asked.get("Range") for asked in kaggle.asked("store")]
    assert ranges == [None, f"bytes={5 * CHUNK}-", f"bytes={7 * CHUNK}-"]
    assert waits == [2, 2]


def test_as_many_cuts_as_there_may_be_while_bytes_come(kaggle, target, archive):
    kaggle.faults.extend([Cut(CHUNK)] * 9)
    download("photos", SOURCE, target, Waits())
    assert target.read_bytes() == archive


def test_cuts_that_bring_nothing_are_counted(kaggle, target):
    kaggle.faults.extend([Cut(5 * CHUNK), *[Cut(0)] * 20])
    assert "6 attempts in a row failed" in failure(target)


def test_a_connection_that_falls_silent_counts_as_cut(kaggle, target, archive, monkeypatch):
    monkeypatch.setattr(kaggle_client, "TIMEOUT", 0.3)
    kaggle.faults.append(Stall(5 * CHUNK))
    download("photos", SOURCE, target, Waits())
    assert target.read_bytes() == archive


def interrupted(_):
    raise KeyboardInterrupt


def test_called_again_it_goes_on(kaggle, target, archive):
    kaggle.faults.append(Cut(6 * CHUNK))
    with pytest.raises(KeyboardInterrupt):
        download("photos", SOURCE, target, interrupted)
    assert not target.exists()
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive
    assert kaggle.asked("store")[-1]["Range"] == f"bytes={6 * CHUNK}-"


def test_after_a_kill_it_goes_on(kaggle, target, archive, root):
    kaggle.faults.append(Stall(6 * CHUNK))
    script = (
        "import pathlib, sys\n"
        "from tests.kaggle_service import point_client_to\n"
        "from tests.data.test_download import SOURCE, download\n"
        "point_client_to(sys.argv[1])\n"
        "download('photos', SOURCE, pathlib.Path(sys.argv[2]))\n"
    )
    part = target.with_name(".photos.zip.part")
    with subprocess.Popen([sys.executable, "-c", script, kaggle.address, str(target)], cwd=root) as process:
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        process.kill()
    assert process.returncode == (1 if sys.platform == "win32" else -signal.SIGKILL)
    have = part.stat().st_size
    assert not target.exists()
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive
    assert kaggle.asked("store")[-1]["Range"] == f"bytes={have}-"


def test_killed_with_all_bytes_there_it_asks_for_none(kaggle, target, archive, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zipfile, "ZipFile", interrupted)  # after the last byte, before the last check
        download("photos", SOURCE, target)
    assert not target.exists()
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive
    assert len(kaggle.asked("ask")) == 1


def test_an_error_page_is_never_part_of_an_archive(kaggle, target, archive):
    refusal = Refuse(503, at="store")
    kaggle.faults.extend([Cut(5 * CHUNK), refusal, refusal, Cut(CHUNK), refusal])
    download("photos", SOURCE, target, Waits())
    assert target.read_bytes() == archive


def test_an_archive_replaced_in_between_is_begun_anew(kaggle, target, archive):
    kaggle.faults.append(Cut(6 * CHUNK))
    with pytest.raises(KeyboardInterrupt):
        download("photos", SOURCE, target, interrupted)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("im1.jpg", archive)
    kaggle.archives[NAME] = packed.getvalue()
    download("photos", SOURCE, target)
    assert target.read_bytes() == packed.getvalue()


def test_half_an_archive_is_not_mixed_with_another_one(kaggle, target, archive):
    kaggle.archives["owner/others"] = archive[::-1]
    kaggle.faults.append(Cut(6 * CHUNK))
    with pytest.raises(KeyboardInterrupt):
        download("photos", Source(**{**vars(SOURCE), "kaggle": "owner/others"}), target, interrupted)
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive
    assert "Range" not in kaggle.asked("store")[-1]


@pytest.mark.parametrize("lacking", ["tagged", "ranged", "sized", "hashed"])
def test_a_store_that_tells_less_still_gives_whole_archives(kaggle, target, archive, lacking):
    setattr(kaggle, lacking, False)
    kaggle.faults.append(Cut(6 * CHUNK))
    if lacking == "sized":  # then the zip's directory alone tells that something is missing
        kaggle.hashed = False
        assert "damaged (no zip, or one without its directory)" in failure(target)
    download("photos", SOURCE, target, Waits())
    assert target.read_bytes() == archive


def test_two_runs_do_not_write_the_same_archive(kaggle, target):
    target.parent.mkdir()
    with FileLock(target.with_name(".photos.zip.lock")):
        assert "another run is downloading it" in failure(target)
    download("photos", SOURCE, target)


# Damage


def test_an_archive_with_another_hash_is_not_kept(kaggle, target, archive):
    kaggle.md5 = bytes(16)
    assert "damaged (its MD5 is not what Kaggle says); run again" in failure(target)
    assert names(target.parent) == ["photos.zip.json"]
    kaggle.md5 = None
    download("photos", SOURCE, target)
    assert target.read_bytes() == archive


def test_an_archive_of_another_size_is_not_kept(kaggle, target, archive):
    kaggle.size = len(archive) + 10
    assert f"damaged ({len(archive):,} bytes instead of {len(archive) + 10:,})" in failure(target)
    assert names(target.parent) == ["photos.zip.json"]


@pytest.mark.parametrize("content", [b"<html>please log in</html>", b"", "half"])
def test_what_is_no_whole_zip_is_not_kept(kaggle, target, archive, content):
    kaggle.archives[NAME] = archive[: len(archive) // 2] if content == "half" else content
    assert "damaged (no zip, or one without its directory)" in failure(target)
    assert names(target.parent) == ["photos.zip.json"]


ON_A_FULL_DISK = """
import os, pathlib, sys
from srstudy.errors import StudyError
from tests.kaggle_service import point_client_to
from tests.data.test_download import SOURCE, download
point_client_to(os.environ["ADDRESS"])
folder = pathlib.Path(sys.argv[1])
try:
    download("photos", SOURCE, folder / "photos.zip")
except StudyError as error:
    print(error)
print([path.name for path in folder.iterdir() if path.name.endswith(".zip")])
"""


@pytest.mark.parametrize(("sized", "message"), [(True, "bytes more, but the disk has"), (False, "the disk is full")])
def test_a_full_disk_is_said_if_possible_beforehand(kaggle, small_disk, monkeypatch, sized, message):
    kaggle.sized = sized
    monkeypatch.setenv("ADDRESS", kaggle.address)
    said, there = small_disk(ON_A_FULL_DISK).splitlines()
    assert message in said
    assert there == "[]"


# Secrets

TROUBLES = {
    "none": [],
    "cut": [Cut(1000)],
    "refused": [Refuse(403)],
    "refused by the store": [Refuse(403, at="store")],
    "unknown": [Refuse(404)],
    "not logged in": [Refuse(401)],
    "broken": [Refuse(500)] * 9,
    "broken store": [Refuse(500, at="store")] * 9,
    "no log-in": [Refuse(500, at="log-in")] * 20,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("by_token", [False, pytest.param(True, marks=needs_kaggle_2)])
def test_no_secret_is_shown_or_kept(kaggle, target, monkeypatch, caplog, capfd, trouble, by_token):
    monkeypatch.setenv("VERBOSE", "true")  # the client would print its requests
    if by_token:
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    kaggle.faults.extend(TROUBLES[trouble])
    shown = ""
    with caplog.at_level(logging.DEBUG):
        try:
            download("photos", SOURCE, target, Waits())
        except StudyError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
    kept = b"".join(path.read_bytes() for path in target.parent.iterdir() if path != target)
    shown += caplog.text + "".join(capfd.readouterr()) + kept.decode(errors="replace")
    assert not [secret for secret in SECRETS if secret in shown]


def test_the_store_is_not_told_the_key(kaggle, target):
    download("photos", SOURCE, target)
    assert "Authorization" in kaggle.asked("ask")[0]
    assert "Authorization" not in kaggle.asked("store")[0]
