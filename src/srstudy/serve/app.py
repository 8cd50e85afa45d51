"""Requests and answers. A photograph is answered with its enlargement; a clip, and what takes longer, with a job."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi import Path as InPath
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi_offline import FastAPIOffline
from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from srstudy import __version__
from srstudy.enhance import CLIPS, models
from srstudy.photos.images import EXTENSIONS
from srstudy.serve.answers import answer_refusals, result_file, side_file, state_of
from srstudy.serve.jobs import ENDED, Jobs
from srstudy.serve.page import mount_page
from srstudy.serve.receive import Limits, Refused, received, store_upload
from srstudy.serve.store import Job

ANSWER = 25.0  # seconds for which a request waits for a photograph: Heroku's router gives up after 30
TELL = 15.0  # seconds after which a job's progress is told again, changed or not
Name = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]


class Wishes(BaseModel):
    """The fields of a form besides its file; see docs/enhance.md."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    mode: Literal["view", "evidence"] = "view"
    strength: float = Field(1.0, ge=0, le=1)
    denoise: float = Field(0.0, ge=0, le=30)
    clahe: bool = False
    mark: bool = True
    gps: bool = False
    deinterlace: Literal["auto", "always", "never", "refuse"] = "auto"
    codec: Literal["h264", "ffv1"] | None = None

    def settings(self) -> dict[str, Any]:
        """As `srstudy.enhance.work.Settings` and its steps take them. Raises Refused for a model that is not there."""
        model = self.model or models.DEFAULT
        if model not in models.names():
            raise Refused(422, f"model: '{model[:40]}' is not here; choose one of: {', '.join(models.names())}.")
        if 0 < self.denoise < 1:
            raise Refused(422, "denoise: is too little; give 0, or a number from 1 to 30.")
        if self.mode == "evidence" and self.codec == "h264":
            raise Refused(422, "codec: evidence is written without loss; leave it out, or take the mode view.")
        return self.model_dump() | {"model": model}


class Server:
    """What the requests share."""

    def __init__(self, jobs: Jobs, limits: Limits, tokens: dict[str, str], redis: str | None, origins: tuple[str, ...]):
        self.jobs, self.limits, self.tokens, self.origins, self.uploads = jobs, limits, tokens, origins, 0
        storage = storage_from_string(redis or "memory://")
        self._rate, self._rates = RateLimitItemPerMinute(limits.per_minute), MovingWindowRateLimiter(storage)

    def who(self, request: Request) -> str:
        """The user by his token (Bearer, or as a password), or where there are no tokens, the address."""
        if not self.tokens:
            return request.client.host if request.client else "nobody"
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                given = b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                given = ""
        for token, user in self.tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return user
        raise Refused(401, "This server asks for a token, as a password or in 'Authorization: Bearer'.")

    def _foreign(self, request: Request) -> bool:
        """Whether a page of elsewhere sends this, in the name of whoever looks at it."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin in self.origins:
            return False
        if site:
            return site not in ("same-origin", "none")
        return origin is not None and urlsplit(origin).netloc != request.headers.get("host")

    async def follow(self, name: str) -> AsyncIterator[Job | None]:
        """A job as it is now, again and again: at first often, later twice a second."""
        began = time.monotonic()
        while True:
            yield await run_in_threadpool(self.jobs.store.read, name)
            await asyncio.sleep(min(max(0.01, (time.monotonic() - began) / 40), 0.5))

    async def take_in(self, request: Request, only_photographs: bool) -> Job:
        """Make a job of an upload, all limits first. Raises Refused."""
        user, limits = self.who(request), self.limits
        if self._foreign(request):
            raise Refused(403, "Another site's page may not send files here; --origin lets it.")
        if not await run_in_threadpool(self._rates.hit, self._rate, user):
            again = self._rates.get_window_stats(self._rate, user).reset_time - time.time()
            raise Refused(429, "Too many uploads; wait a little.", max(1, math.ceil(again)))
        if await run_in_threadpool(self.jobs.store.count, "queued") >= limits.waiting:
            raise Refused(429, f"{limits.waiting} jobs are waiting already; try again later.", again=10)
        if self.uploads >= limits.uploads:
            raise Refused(503, "Too many uploads at this moment; try again.", again=2)
        self.uploads += 1
        try:
            form = await received(request, limits)
            try:
                fields = {name: value for name, value in form.items() if name != "file"}
                upload = form["file"]
                shown = "".join(letter for letter in (upload.filename or "file") if letter.isprintable())[-100:]
                ending = Path(shown).suffix.lower()
                ending = ending if ending in EXTENSIONS | CLIPS else ""
                if only_photographs and ending in CLIPS:
                    raise Refused(415, f"{shown}: is a clip; send it to /jobs.")
                settings, name = Wishes(**fields).settings(), self.jobs.new_name()
                source = self.jobs.place(name) / f"original{ending}"
                await run_in_threadpool(store_upload, upload, source, limits)
            finally:
                await form.close()
        except ValidationError as error:
            first = error.errors()[0]
            raise Refused(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        finally:
            self.uploads -= 1
        lane = "photograph" if only_photographs or ending in EXTENSIONS else "clip"
        facts = {"owner": user if self.tokens else "", "name": shown, "file": source.name, "settings": settings}
        try:
            job = await run_in_threadpool(lambda: self.jobs.add(name, lane, **facts))
            if await request.is_disconnected():  # nobody would learn the job's name
                raise Refused(499, "The client has gone.")
            return job
        except BaseException:
            await run_in_threadpool(self.jobs.cancel, name)
            raise

    async def find(self, request: Request, name: Name) -> Job:
        """A job of whoever asks. Raises Refused: of another's nobody learns that it is there."""
        user = self.who(request)
        job = await run_in_threadpool(self.jobs.store.read, name)
        if job is None or (self.tokens and job["owner"] != user):
            raise Refused(404, "No such job; its files go an hour after it ended, or a minute after the download.")
        return job


def create_app(jobs: Jobs, limits: Limits, tokens: dict[str, str] | None = None, redis: str | None = None,
               origins: tuple[str, ...] = (), page: Path | None = None) -> FastAPIOffline:  # fmt: skip
    """The application. `tokens`: token -> user; `origins`: pages elsewhere that may ask; `page`: the folder `web`."""
    server = Server(jobs, limits, tokens or {}, redis, origins)

    app = FastAPIOffline(title="srstudy", version=__version__, description=models.CAUTION)
    answer_refusals(app, jobs)
    _metrics(app, jobs)
    _about(app, jobs)
    find = Depends(server.find)
    form = {"file": {"type": "string", "format": "binary"}, **Wishes.model_json_schema()["properties"]}
    schema = {"type": "object", "required": ["file"], "properties": form}
    body = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}

    answers = {200: {"content": {"image/*": {}}}, 202: {"description": "It takes longer: a job."}}

    @app.post("/enhance", openapi_extra=body, response_class=Response, responses=answers)
    async def enhance(request: Request) -> Response:
        """Enlarge a photograph four times. The header X-Record says where the record of the answer is."""
        job = await server.take_in(request, only_photographs=True)
        until = time.monotonic() + ANSWER
        async for now in server.follow(job["id"]):
            if now is None or now["state"] in ENDED:
                return result_file(jobs, now, f"jobs/{job['id']}/record")
            if await request.is_disconnected():
                await run_in_threadpool(jobs.cancel, job["id"])
                return Response(status_code=499)
            if time.monotonic() > until:
                return JSONResponse(state_of(now), 202)

    @app.post("/jobs", status_code=202, openapi_extra=body)
    async def add(request: Request) -> dict[str, Any]:
        """Enlarge a clip or a photograph in the background."""
        return state_of(await server.take_in(request, only_photographs=False))

    @app.get("/jobs/{name}")
    async def show(job: Job = find) -> dict[str, Any]:
        """How far a job is."""
        return state_of(job)

    @app.delete("/jobs/{name}", status_code=204)
    async def cancel(job: Job = find) -> None:
        """Stop a job, and remove its files."""
        await run_in_threadpool(jobs.cancel, job["id"])

    @app.get("/jobs/{name}/events", response_class=EventSourceResponse)
    async def events(job: Job = find) -> AsyncIterator[ServerSentEvent]:
        """How far a job is, whenever that has changed; at least every 15 seconds."""
        before, told = None, 0.0
        async for found in server.follow(job["id"]):
            now = state_of(found or job | {"state": "cancelled"})
            if now != before or time.monotonic() - told > TELL:
                before, told = now, time.monotonic()
                yield ServerSentEvent(data=now)
            if now["state"] in ENDED:
                return

    @app.get("/jobs/{name}/result", response_class=FileResponse)
    async def result(job: Job = find) -> Response:
        """The enlarged file."""
        return result_file(jobs, job, "record")

    @app.get("/jobs/{name}/record", response_class=FileResponse)
    async def record(job: Job = find) -> Response:
        """What was done, as JSON."""
        return side_file(jobs, job, "record.json")

    @app.get("/jobs/{name}/map", response_class=FileResponse)
    async def consistency_map(job: Job = find) -> Response:
        """Of a photograph, the record as a page, with the map of LR-consistency."""
        return side_file(jobs, job, "record.html")

    @app.get("/jobs/{name}/frames", response_class=FileResponse)
    async def frames(job: Job = find) -> Response:
        """Of a clip, a row for each frame, as CSV: its time, and what was read and written."""
        return side_file(jobs, job, "frames.csv")

    mount_page(app, page)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"],
            expose_headers=["Content-Disposition", "Retry-After", "X-Record"],
        )  # fmt: skip
    return app


def _metrics(app: FastAPIOffline, jobs: Jobs) -> None:
    """GET /metrics, as Prometheus reads it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    said = "srstudy_request_seconds", "Seconds to the head of an answer"
    seconds = Histogram(*said, ["route", "status"], registry=registry)
    for state in ("queued", "running", "done", "failed"):
        gauge = Gauge(f"srstudy_jobs_{state}", f"Jobs that are {state}", registry=registry)
        gauge.set_function(lambda state=state: jobs.store.count(state))

    def measured(inner: ASGIApp) -> ASGIApp:  # not by @app.middleware: behind that, nobody sees a client go
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "other")
                    seconds.labels(route, message["status"]).observe(time.monotonic() - began)
                await send(message)

            began = time.monotonic()
            await inner(scope, receive, noted)

        return answer

    app.add_middleware(measured)

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Counts and times, as text for Prometheus."""
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def _about(app: FastAPIOffline, jobs: Jobs) -> None:
    """GET /health and /models."""

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the server is there, and how much it has to do."""
        counts = {state: await run_in_threadpool(jobs.store.count, state) for state in ("queued", "running")}
        return {"status": "ok", "version": __version__, **counts}

    @app.get("/models")
    def list_models() -> dict[str, Any]:
        """The models, and what each learned from."""
        cards = {name: models.card(models.find_model(name)) for name in models.names()}
        listed = [{"name": name, "learned_from": card["learned_from"]} for name, card in cards.items()]
        listed.sort(key=lambda model: model["name"] != models.DEFAULT)
        return {"default": models.DEFAULT, "caution": models.CAUTION, "models": listed}
