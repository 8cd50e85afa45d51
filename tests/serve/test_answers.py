"""What a server answers: enlargements, jobs and how far they are, records, figures and the page."""

import hashlib
import http.client
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from urllib.parse import urljoin

import av
import numpy as np
import psutil
import pytest
from fastapi.openapi.models import OpenAPI
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from tests.enhance.footage import number, picture
from tests.serve.server import HEAD, clip, form, png, until

from srstudy.enhance.clip import claim
from srstudy.enhance.command import main
from srstudy.enhance.engine import Engine
from srstudy.enhance.models import DEFAULT, find_model
from srstudy.enhance.steps import Steps
from srstudy.enhance.work import Settings, enhance
from srstudy.serve.app import Wishes
from srstudy.serve.jobs import AFTER, KEEP, Jobs


@pytest.fixture(scope="module")
def server(serve):
    return serve()


@pytest.fixture(scope="module")
def idle(serve):
    """One without workers."""
    return serve("--workers", "0")


def pixels(file):
    """Those of a photograph."""
    with Image.open(file) as image:
        return np.asarray(image)


def called(answer):
    """The name to save it under."""
    message = Message()
    message["Content-Disposition"] = answer.headers["Content-Disposition"]
    return message.get_filename()


def place_for(jobs, **files):
    """The name of a job that is not queued yet, with its files."""
    jobs.place(name := jobs.new_name()).mkdir()
    for file, content in files.items():
        (jobs.place(name) / f"{file}.png").write_bytes(content)
    return name


def test_a_photograph_is_what_the_command_makes_of_it_with_a_record(server, photo, tmp_path, root):
    (source := tmp_path / "original.png").write_bytes(png(photo[:40, 100:150]))
    how = Settings("gan", "evidence", codec="ffv1", steps=Steps(3, 0.5, True, False))
    enhance(source, tmp_path / "a.png", how, Engine(find_model("gan"), "evidence"), lambda *done: None)
    wishes = {"model": "gan", "mode": "evidence", "denoise": 3, "strength": 0.5, "clahe": "on", "mark": 0}
    answer = server.result("enhance", source.read_bytes(), "my photo.png", **wishes)
    np.testing.assert_array_equal(pixels(io.BytesIO(answer.content)), pixels(tmp_path / "a.png"))
    record = server.get(answer.headers["X-Record"])
    page = server.get(answer.headers["X-Record"].replace("record", "map"))
    assert server.get(answer.headers["X-Record"].replace("record", "frames")).status_code == 404
    assert page.headers["Content-Type"].startswith("text/html") and "map of LR-consistency" in page.text
    assert not any(str(place)[1:] in answer.text for place in (root, server.folder) for answer in (record, page))
    (tmp_path / "my photo.png").write_bytes(source.read_bytes())  # and what was fetched beside it, as it is called
    (tmp_path / called(answer)).write_bytes(answer.content)
    (tmp_path / called(record)).write_bytes(record.content)
    assert called(record) == "my photo-x4.png.record.json" and main(["verify", str(tmp_path / called(record))]) == 0


def test_a_clip_is_a_job_that_tells_how_far_it_is(server):
    answer = server.send("jobs", clip(40, 32), "a.mp4", codec="h264")
    job = f"jobs/{answer.json()['id']}"
    early = [server.get(f"{job}/{what}").status_code for what in ("result", "record", "map")]
    assert [answer.status_code, *early] == [202, 409, 409, 409]
    told = server.events(answer.json()["id"])
    assert told == sorted(told, key=lambda event: (["queued", "running", "done"].index(event["state"]), event["done"]))
    assert told[-1] == server.get(job).json() == answer.json() | {"state": "done", "done": 40, "total": 40}
    answer = server.get(f"{job}/result")
    with av.open(io.BytesIO(answer.content)) as enlarged:
        assert [number(frame.to_ndarray(format="rgb24")) for frame in enlarged.decode(video=0)] == [*range(40)]
    record = server.get(urljoin(f"{job}/result", answer.headers["X-Record"])).json()
    assert [record["what"]["frames"], record["output"]["file"]] == [40, called(answer)] == [40, "a-x4.mp4"]
    assert server.get(f"{job}/map").ok
    frames = server.get(f"{job}/frames")
    assert called(frames) == record["what"]["each_frame"]["file"] == "a-x4.mp4.frames.csv"
    assert hashlib.sha256(frames.content).hexdigest() == record["what"]["each_frame"]["sha256"]


def test_what_is_cancelled_while_it_runs_leaves_nothing(server):
    job = server.send("jobs", clip(600, 64), "a.mp4", model="psnr").json()["id"]
    until(lambda: server.get(f"jobs/{job}").json()["done"])
    assert server.events(job, lambda: server.get(f"jobs/{job}", "DELETE"))[-1]["state"] == "cancelled"
    until(lambda: job not in server.files())
    assert server.get(f"jobs/{job}").status_code == server.get(f"jobs/{job}", "DELETE").status_code == 404


def test_of_many_at_once_each_gets_his_own(server):
    def ask(n):
        answer = server.result("enhance", png(picture(n, 40, 30)), f"{n}.png", strength=0, mark=False)
        return number(pixels(io.BytesIO(answer.content)))

    with ThreadPoolExecutor(12) as pool:
        assert [*pool.map(ask, range(12))] == [*range(12)]


def test_a_kill_between_a_photograph_and_its_record_costs_nothing(server, photo):
    jobs, content = Jobs(server.folder), png(photo[:20, :20])
    name = place_for(jobs, original=content, enlarged=content)
    claim(jobs.place(name) / "enlarged.png")
    jobs.add(name, "photograph", owner="", name="a.png", file="original.png", settings=Wishes().settings())
    assert server.events(name)[-1]["state"] == "done" and server.get(f"jobs/{name}/record").ok


def test_files_stay_until_all_of_them_was_fetched(idle):
    jobs, content = Jobs(idle.folder), bytes(50_000_000)
    name = place_for(jobs, enlarged=content)
    jobs.add(name, "photograph", owner="", name="a.png")
    jobs.end(jobs.take("photograph", "me"), "done", output="enlarged.png")
    with idle.get(f"jobs/{name}/result", stream=True) as answer:
        next(answer.iter_content(1000))  # and then the line breaks
    until(lambda: not any(file.path.endswith(".png") for file in psutil.Process(idle.process.pid).open_files()))
    for _ in range(9):  # time enough for whatever is done after an answer
        assert idle.get(f"jobs/{name}/result", headers={"Range": "bytes=0-9"}).content == bytes(10)
    assert jobs.store.read(name)["expires"] > time.time() + KEEP - 300
    assert idle.get(f"jobs/{name}/result").content == content
    until(lambda: jobs.store.read(name)["expires"] < time.time() + AFTER)


def test_who_goes_while_he_waits_for_a_photograph_leaves_nothing(idle):
    connection, before = http.client.HTTPConnection("127.0.0.1", idle.port), idle.files()
    connection.request("POST", "/enhance", form(b"a photograph"), HEAD)
    until(lambda: idle.files() != before)
    connection.close()
    assert until(lambda: idle.files() == before)


@pytest.mark.slow
def test_what_takes_long_becomes_a_job(idle):
    answer = idle.send("enhance", b"a photograph")
    assert answer.status_code == 202 and idle.get(f"jobs/{answer.json()['id']}", "DELETE").status_code == 204


def test_figures_are_read_by_prometheus_and_count_by_route(idle):
    idle.get("jobs/" + "0" * 32)
    found = {family.name: family.samples for family in text_string_to_metric_families(idle.get("metrics").text)}
    seconds = found["srstudy_request_seconds"]
    counts = {tuple(one.labels.values()): one.value for one in seconds if one.name.endswith("count")}
    assert counts["/jobs/{name}", "404"] >= 1 and found["srstudy_jobs_queued"][0].value == 0
    assert {"process_resident_memory_bytes", "srstudy_jobs_done"} <= found.keys()


def test_the_api_describes_itself_and_names_no_other_host(idle):
    OpenAPI.model_validate(described := idle.get("openapi.json").json())
    for path in ("/enhance", "/jobs"):
        schema = described["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["required"] == ["file"] and set(schema["properties"]) == {"file", *Wishes.model_fields}
    for page in ("docs", "redoc"):
        text = idle.get(page).text
        assert "//" not in text and all(idle.get(file).ok for file in re.findall(r'(?:src|href)="/([^"]+)"', text))
    assert idle.get("models").json()["models"][0]["name"] == DEFAULT


def test_the_page_is_served_with_its_headers_and_without_what_is_not_for_visitors(idle):
    page = idle.get("")
    assert page.headers["Content-Type"].startswith("text/html") and idle.get("app.js").ok
    isolated = [page.headers[f"Cross-Origin-{name}-Policy"] for name in ("Opener", "Embedder")]
    assert isolated == ["same-origin", "require-corp"]
    hidden = ("package.json", "package-lock.json", "vendor.sh", "vercel.json", ".gitignore", "%2egitignore", "x/.git/a")
    for path in (*hidden, "../pyproject.toml", "%2e%2e/pyproject.toml", "..%2fpyproject.toml", "jobs/../vercel.json"):
        connection = http.client.HTTPConnection("127.0.0.1", idle.port)
        connection.request("GET", f"/{path}")  # as it stands
        assert connection.getresponse().status == 404, path
