"""What is sent is refused in one sentence where it is no good, and never becomes more than its limits allow."""

import http.client
import re
import sqlite3
import struct
import zlib
from contextlib import closing
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from tests.serve.server import HEAD, clip, form, png, until

from srstudy.enhance.command import main

SIDE = 20_000  # of bombs, px
FULL = 4_000_000  # bytes that a server here takes


@pytest.fixture(scope="module")
def server(serve):
    """One that takes little."""
    return serve(bytes=FULL, pixels=100_000, frame_pixels=1000, frames=20, idle_seconds=1)


@pytest.fixture(scope="module")
def guarded(serve):
    """One that a page elsewhere may ask."""
    return serve("--workers", "0", "--origin", "https://friend.example/")


@pytest.fixture(scope="module")
def contents():
    """What is sent."""
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    parts = b"IHDR" + head, b"IDAT" + zlib.compress(bytes((SIDE // 8 + 1) * SIDE)), b"IEND"
    packed = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    bmp = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54 + 1024, 40, SIDE, SIDE, 1, 8, 1, 0, 0, 0, 256, 0)
    return {
        "photo": png(np.zeros((9, 9, 3), np.uint8)), "text": b"no photograph", "empty": b"", "clip": clip(6),
        "wide": clip(2, 48), "long": clip(21), "raw": clip(21, name="a.h264"),
        "large": bytes(FULL + 99999),
        "bmp": bmp + bytes(1024) + (b"\xff\7" * (SIDE // 255) + bytes([SIDE % 255, 7, 0, 0])) * SIDE + b"\0\1",
        "bomb": b"\x89PNG\r\n\x1a\n" + b"".join(packed),
    }  # fmt: skip


def most_memory(server):
    """KiB that a worker ever had, where Linux says so."""
    known = [Path(f"/proc/{worker.pid}/status") for worker in server.workers()]
    return max((int(re.search(r"VmHWM:\s+(\d+)", path.read_text())[1]) for path in known if path.exists()), default=0)


@pytest.mark.parametrize(("path", "content", "name", "fields", "status", "said"), [
    ("enhance", "empty", "a.png", {}, 422, "The form has no file, or an empty one; put it in the field 'file'."),
    ("enhance", "text", "a.png", {}, 422, "a.png: not an image that can be read; convert it to .png, .jpg or .tif."),
    ("enhance", "text", "a.txt", {}, 422, "a.txt: no clip or picture that can be read (Invalid data"),
    ("jobs", "text", "a.mp4", {}, 422, "a.mp4: no clip or picture that can be read (Invalid data"),
    ("enhance", "clip", "a.mp4", {}, 415, "a.mp4: is a clip; send it to /jobs."),
    ("enhance", "clip", "a", {}, 422, "a: is a clip; send it to /jobs."),
    ("enhance", "photo", "a.png", {"colour": "red"}, 422, "colour: Extra inputs are not permitted."),
    ("enhance", "photo", "a.png", {"model": "../x.onnx"}, 422, "model: '../x.onnx' is not here; choose one of: cctv, "),
    ("enhance", "photo", "a.png", {"strength": 2}, 422, "strength: Input should be less than or equal to 1."),
    ("enhance", "photo", "a.png", {"strength": "nan"}, 422, "strength: Input should be "),
    ("enhance", "photo", "a.png", {"denoise": 0.5}, 422, "denoise: is too little; give 0, or a number from 1 to 30."),
    ("enhance", "photo", "a\rb.png", {}, 400, "The form can't be read (Invalid multipart data.)."),
    ("enhance", "photo", "a.png", {"model": "x" * 5000}, 400, "The form can't be read (Part exceeded maximum"),
    ("enhance", "large", "a.png", {}, 413, "The file is larger than this server takes: 4,000,000 bytes."),
    ("enhance", "bomb", "a.png", {}, 413, "a.png: 20000x20000 pixels; this server takes 100,000 in all. Cut a "),
    ("enhance", "bmp", "a.bmp", {}, 413, "a.bmp: 20000x20000 pixels; this server takes 100,000 in all. Cut a "),
    ("jobs", "wide", "a.mp4", {}, 413, "a.mp4: 48x48 pixels; this server takes 1,000 in all. Cut a part out."),
    ("jobs", "long", "a.mp4", {}, 413, "a.mp4: 21 frames; this server takes 20. Cut it."),
    ("jobs", "raw", "a.h264", {}, 413, "a.h264: over 20 frames, which this server takes. Cut it."),
])  # fmt: skip
def test_what_is_no_good_is_refused_in_one_sentence(server, contents, path, content, name, fields, status, said):
    before, answer = server.files(), server.result(path, contents[content], name, **fields)
    detail = answer.json()["detail"]
    assert (answer.status_code, detail[: len(said)]) == (status, said)
    assert detail.endswith(".") and "\n" not in detail and str(server.folder) not in detail
    until(lambda: server.files() == before)
    assert most_memory(server) < 1_000_000  # KiB; of what is too large, unfolded, the least has 1,200,000


def test_what_is_no_form_is_refused_and_what_has_no_length_is_counted_as_it_comes(server):
    before, kinds = server.files(), ({}, {"Content-Type": "multipart/form-data"}, HEAD)
    found = [server.get("jobs", "POST", data=b"no form", headers=kind).status_code for kind in kinds]
    parts = iter([form(b"")[:-10], *(bytes(FULL // 10) for _ in range(20))])
    found.append(server.get("jobs", "POST", data=parts, headers=HEAD).status_code)
    assert found == [415, 400, 400, 413] and server.files() == before


@pytest.mark.parametrize("stays", [True, False])
def test_an_upload_that_stops_or_breaks_off_leaves_nothing(server, stays):
    before, connection = server.files(), http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/jobs", form(bytes(1_000_000))[:500_000], HEAD | {"Content-Length": "1000150"})
    if stays:
        assert connection.getresponse().read() == b'{"detail":"The upload has stopped; send it again."}'
    connection.close()
    status = 408 if stays else 400  # which nobody hears
    until(lambda: f'{{route="/jobs",status="{status}"}}' in server.get("metrics").text)
    assert server.files() == before and "Traceback" not in server.log.read_text()


def test_a_job_that_nobody_knows_of_is_none(serve):
    server = serve("--workers", "0")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    with closing(sqlite3.connect(server.folder / "jobs.db")) as store:
        store.execute("BEGIN IMMEDIATE")  # it has the file, and waits for the store
        connection.request("POST", "/jobs", form(b"a clip"), HEAD)
        until(server.files)
        connection.close()
    until(lambda: '{route="/jobs",status="499"}' in server.get("metrics").text)
    until(lambda: server.files() == set())
    assert server.get("health").json()["queued"] == 0


@pytest.mark.parametrize(("origin", "site", "status"), [
    ("https://foe.example", None, 403), ("null", None, 403), ("https://foe.example", "cross-site", 403),
    ("http://127.0.0.1:1", "same-site", 403), ("http://127.0.0.1:{}", None, 202), (None, "none", 202),
    ("https://before.a.proxy", "same-origin", 202), ("https://friend.example", "cross-site", 202),
])  # fmt: skip
def test_a_page_of_elsewhere_sends_nothing_unless_it_may(guarded, origin, site, status):
    own = {"Origin": origin and origin.format(guarded.port), "Sec-Fetch-Site": site}
    answer = guarded.get("jobs", "POST", data=form(b"a clip"), headers=HEAD | {k: v for k, v in own.items() if v})
    assert answer.status_code == status
    if origin == "https://friend.example":
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Content-Disposition" in answer.headers["Access-Control-Expose-Headers"]
    else:
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(("name", "called"), [
    ('../../x"y.png', 'x"y-x4.png'), ("a\nX-Evil: 1\n\nb.png", "aX-Evil: 1b-x4.png"), ("\0é\u2028ü.PNG", "éü-x4.png"),
    ("/etc/passwd", "passwd-x4.png"), ("..", "..-x4.png"), ("\u202e%22;.png", "%22;-x4.png"),
    ("x" * 300 + ".png", "x" * 96 + "-x4.png"),
])  # fmt: skip
def test_a_name_never_is_a_path_or_a_header(server, contents, name, called):
    before, answer = server.files(), server.result("enhance", contents["photo"], name)
    assert answer.status_code == 200 and "X-Evil" not in answer.headers
    message = Message()
    message["Content-Disposition"] = answer.headers["Content-Disposition"]
    assert message.get_filename() == called
    (job,) = server.files() - before
    assert re.fullmatch("[0-9a-f]{32}", job)
    assert {path.name.split(".")[0] for path in (server.folder / "jobs" / job).iterdir()} == {"original", "enlarged"}


@pytest.mark.parametrize(("limits", "status", "said", "again"), [
    ({"waiting": 2}, 429, "2 jobs are waiting already; try again later.", range(10, 11)),
    ({"per_minute": 2}, 429, "Too many uploads; wait a little.", range(1, 61)),
    ({"free_bytes": 10**18}, 503, "The server's disk is full; try again later.", range(60, 61)),
])  # fmt: skip
def test_who_comes_when_there_is_no_room_is_told_when_to_ask_again(serve, limits, status, said, again):
    server = serve("--workers", "0", **limits)
    answer = [server.send("jobs", b"a clip") for _ in range(3)][-1]
    assert (answer.status_code, answer.json()["detail"]) == (status, said) and len(server.files()) in (0, 2)
    assert int(answer.headers["Retry-After"]) in again


def test_where_the_disk_has_no_room_for_an_enlargement_it_says_when_to_ask_again(small_disk):
    said = small_disk(
        """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from tests.serve.server import Server, png
        server = Server(Path(sys.argv[1]) / "folder", free_bytes=1)
        noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)  # whose enlargement takes 1.7 MB
        answer = server.send("enhance", png(noise), "noise.png")
        server.close()
        print(answer.status_code, answer.headers["Retry-After"], answer.json()["detail"])
    """,
        "1m",
    )
    assert said.startswith("503 60 noise.png: ") and "the disk is full" in said


def test_with_tokens_each_sees_what_is_his_own(serve, tmp_path):
    (tmp_path / "tokens").write_text("ann 0123456789abcdef\n\nbob 0123456789abcdeg\n")
    server = serve("--workers", "0", "--tokens", str(tmp_path / "tokens"))
    ann, bob = {"auth": ("whoever", "0123456789abcdef")}, {"headers": {"Authorization": "Bearer 0123456789abcdeg"}}
    job = "jobs/" + server.get("jobs", "POST", data=form(b"a clip"), headers=HEAD, **ann).json()["id"]
    for path in (job, *(f"{job}/{what}" for what in ("events", "result", "record", "map", "frames"))):
        assert [server.get(path, **who).status_code for who in ({}, bob)] == [401, 404]
    for wrong in ("Basic \xe9", "Basic YQ==", "Bearer", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0"):
        assert server.get(job, headers={"Authorization": wrong.encode()}).status_code == 401
    assert server.send("jobs", b"").headers["WWW-Authenticate"].startswith("Basic ")
    assert [server.get(job, "DELETE", **who).status_code for who in ({}, bob, ann, ann)] == [401, 404, 204, 404]
    assert server.files() == set()


def test_tokens_may_stand_in_a_variable(serve, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SRSTUDY_TOKENS", "ann 0123456789abcdef")
    server = serve("--workers", "0")
    answers = [server.get("jobs/" + 32 * "0", **who).status_code for who in ({}, {"auth": ("", "0123456789abcdef")})]
    assert answers == [401, 404]
    monkeypatch.setenv("SRSTUDY_TOKENS", "ann short")
    assert main(["serve", "--folder", str(tmp_path / "jobs")]) == 1
    assert "SRSTUDY_TOKENS: each line is a user and a token" in capsys.readouterr().err


@pytest.mark.parametrize("tokens", [None, "", "ann short", "ann", "\xff"])
def test_a_bad_file_of_tokens_is_said_in_a_sentence(tmp_path, capsys, tokens):
    if tokens is not None:
        (tmp_path / "tokens").write_text(tokens, encoding="latin-1")
    assert main(["serve", "--tokens", str(tmp_path / "tokens"), "--folder", str(tmp_path / "jobs")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: --tokens {tmp_path}") and said.count("\n") == 1
    assert not (tmp_path / "jobs").exists()
