"""What is answered about a job: how far it is, its files, and every refusal as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from srstudy.serve.jobs import Jobs, called
from srstudy.serve.receive import Refused
from srstudy.serve.store import Job


class _Whole(FileResponse):
    """A file; `after` is called if all of it was sent, and who asked was there to the end."""

    def __init__(self, after: Callable[[], None], *file: Path, **more: Any):
        super().__init__(*file, **more)
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            last = status == 200 and "body" in message and not message.get("more_body")
            last = last and not await Request(scope, receive).is_disconnected()
            await send(message)
            if last:
                await run_in_threadpool(self._after)

        await super().__call__(scope, receive, watched)


def state_of(job: Job) -> dict[str, Any]:
    """What a client learns of a job: its id, state, steps done and in all, and the error's sentence or None."""
    return {name: job[name] for name in ("id", "state", "done", "total", "error")}


def _output(jobs: Jobs, job: Job | None) -> Path:
    if job is None:
        raise Refused(404, "The job was cancelled.")
    if job["state"] == "failed":
        raise Refused(job["status"], job["error"], again=60 if job["status"] == 503 else None)
    if job["state"] != "done":
        raise Refused(409, f"The job is {job['state']}; wait until it is done.")
    return jobs.place(job["id"]) / job["output"]


def result_file(jobs: Jobs, job: Job | None, record: str) -> FileResponse:
    """The enlarged file, which is removed after it was fetched. Raises Refused where there is none.

    `record`: where that is, seen from what was asked for, so that it is right behind a proxy's prefix too.
    """
    path = _output(jobs, job)
    name, headers = called(job["name"], path), {"X-Record": record}
    return _Whole(lambda: jobs.fetched(job["id"]), path, filename=name, headers=headers)


def side_file(jobs: Jobs, job: Job, what: str) -> FileResponse:
    """What lies beside the enlarged file, such as `record.json`. Raises Refused where there is none."""
    path = _output(jobs, job)
    name, path = f"{called(job['name'], path)}.{what}", path.with_name(f"{path.name}.{what}")
    if not path.is_file():
        raise Refused(404, f"{name}: there is none for such a file.")
    return FileResponse(path, filename=name, content_disposition_type="inline")


def answer_refusals(app: FastAPI, jobs: Jobs) -> None:
    """Every refusal is JSON with one sentence, `detail`."""

    def answer(status: int, said: str, again: int | None = None) -> JSONResponse:
        headers = {"Retry-After": str(again)} if again else {}
        headers |= {"WWW-Authenticate": 'Basic realm="srstudy", charset="UTF-8"'} if status == 401 else {}
        return JSONResponse({"detail": said}, status, headers)

    app.add_exception_handler(Refused, lambda _, error: answer(error.status, error.said, error.again))
    app.add_exception_handler(HTTPException, lambda _, error: answer(error.status_code, str(error.detail)))
    full = "The server's store takes nothing now; try again later."
    app.add_exception_handler(RequestValidationError, lambda *_: answer(404, "No such job."))
    for kind in (*jobs.store.unavailable, OSError):
        app.add_exception_handler(kind, lambda *_: answer(503, full, 10))
