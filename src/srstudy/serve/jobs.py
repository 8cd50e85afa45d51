"""Jobs: who works at which, and what becomes of one when he is gone.

queued -> running -> done | failed | cancelled. A worker holds a job by a token that no other has, and says twice a
second that he is alive. Whoever finds a job whose holder has been silent for `STALE` seconds queues it again; a worker
that comes back finds that he holds it no more, and lets go.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from huey.storage import RedisStorage, SqliteStorage

from srstudy.serve.store import PREFIX, Job, open_store

LANES = ("photograph", "clip")  # each has workers of its own, so that no photograph waits for a clip
STALE = 10.0  # seconds without a sign of life
KEEP, AFTER = 3600.0, 60.0  # seconds for which files stay: after the end, and after the result was fetched
ATTEMPTS = 5  # starts that came no further than those before: then it is the file's fault
ENDED = ("done", "failed", "cancelled")


def called(name: str, output: Path) -> str:
    """The output's name for whoever sent a file of this name."""
    return f"{Path(name).stem}-x4{output.suffix}"


class Lost(Exception):
    """The job is another's now, or gone."""


class Jobs:
    """All jobs of a server, whose files lie in `folder`; with `redis`, the address of a Redis, of several machines."""

    def __init__(self, folder: Path, redis: str | None = None):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.store = folder.resolve(), open_store(folder, redis)
        self._queues = {
            lane: RedisStorage(f"{PREFIX}.{lane}", url=redis, read_timeout=1)
            if redis
            else SqliteStorage(lane, filename=str(folder / "queue.db"))
            for lane in LANES
        }

    def place(self, name: str) -> Path:
        """The folder of a job's files."""
        return self.folder / "jobs" / name

    @staticmethod
    def new_name() -> str:
        """A name that nobody guesses: who knows it may see the job, where there are no tokens."""
        return secrets.token_hex(16)

    def add(self, name: str, lane: str, /, **facts: Any) -> Job:
        """Queue a job whose original lies in `place(name)`."""
        now = self.store.now()
        job = {"id": name, "lane": lane, "state": "queued", "created": now, "sent": now, "done": 0, "total": 0,
               "reached": 0, "attempts": 0, "holder": None, "worker": None, "beat": None, "cancel": False,
               "error": None, "status": None, "expires": None, **facts}  # fmt: skip
        self.store.change(name, lambda _: job)
        self._send(job)
        return job

    def _send(self, job: Job) -> None:
        self._queues[job["lane"]].enqueue(job["id"].encode())

    def take(self, lane: str, worker: str) -> Job | None:
        """The next job of a lane, held by the caller; None if there is none now."""
        name = self._queues[lane].dequeue()
        if name is None:
            return None
        holder = secrets.token_hex(8)

        def claim(job: Job | None) -> Job:
            if job is None or job["state"] != "queued":
                raise Lost
            return job | {"state": "running", "holder": holder, "worker": worker, "beat": self.store.now(),
                          "attempts": job["attempts"] + 1, "done": 0}  # fmt: skip

        try:
            return self.store.change(name.decode(), claim)
        except Lost:  # brought twice, or cancelled
            return None

    def _held(self, job: Job, **changes: Any) -> Job:
        """Change a job that the caller holds. Raises Lost if he does no more."""

        def edit(now: Job | None) -> Job:
            if now is None or now["holder"] != job["holder"] or now["state"] != "running":
                raise Lost
            return now | changes

        return self.store.change(job["id"], edit)

    def beat(self, job: Job, done: float, total: float) -> Job:
        """Say that the caller is alive, and how far. The job, which says whether to cancel it. Raises Lost."""
        if done > job["reached"]:
            job |= {"reached": done, "attempts": 1}
        far = {"done": done, "total": total, "reached": job["reached"], "attempts": job["attempts"]}
        return self._held(job, beat=self.store.now(), **far)

    def end(self, job: Job, state: str, **facts: Any) -> None:
        """The job is done, or failed and needs no files; it goes if it was to be cancelled. Raises Lost."""
        if self._held(job, state=state, expires=self.store.now() + KEEP, **facts)["cancel"]:
            self.remove(job["id"])
        elif state == "failed":
            shutil.rmtree(self.place(job["id"]), ignore_errors=True)

    def give_back(self, job: Job) -> None:
        """Queue a job again that the caller is told to stop at; remove it if it is to be cancelled. Raises Lost."""
        changed = self._held(job, state="queued", holder=None, attempts=job["attempts"] - 1, sent=self.store.now())
        if changed["cancel"]:
            self.remove(job["id"])
        else:
            self._send(changed)

    def cancel(self, name: str) -> None:
        """Remove a job that nobody works at; ask whoever works at it to stop."""

        def edit(job: Job | None) -> Job | None:
            return job | {"cancel": True} if job and job["state"] == "running" else None

        if self.store.change(name, edit) is None:
            self.remove(name)

    def fetched(self, name: str) -> None:
        """The result is with who asked for it: the files may go soon."""
        until = self.store.now() + AFTER
        self.store.change(name, lambda job: job and job | {"expires": min(job["expires"] or until, until)})

    def remove(self, name: str) -> None:
        """Forget a job, and its files."""
        self.store.change(name, lambda _: None)
        shutil.rmtree(self.place(name), ignore_errors=True)

    def gone(self, worker: str) -> None:
        """A worker is known to have ended: what he held is queued again."""
        for job in self.store.all():
            if job["state"] == "running" and job["worker"] == worker:
                self._again(job)

    def sweep(self) -> None:
        """Queue again what was left lying; remove what is past its time."""
        now, jobs = self.store.now(), self.store.all()
        waiting = {lane: sum(job["state"] == "queued" and job["lane"] == lane for job in jobs) for lane in LANES}
        for job in jobs:
            if job["state"] == "running" and now - job["beat"] > STALE:
                self._again(job)
            elif job["state"] == "queued" and now - job["sent"] > STALE:
                if self._queues[job["lane"]].queue_size() < waiting[job["lane"]]:  # somebody took one and was killed
                    self.store.change(job["id"], lambda job: job and job | {"sent": self.store.now()})
                    self._send(job)
            elif job["state"] in ENDED and job["expires"] < now:
                self.remove(job["id"])
        known = {job["id"] for job in self.store.all()}
        for place in (self.folder / "jobs").glob("*"):
            with suppress(FileNotFoundError):  # another was faster
                if place.name not in known and now - place.stat().st_mtime > KEEP:
                    shutil.rmtree(place, ignore_errors=True)

    def _again(self, job: Job) -> None:
        if job["cancel"]:
            self.remove(job["id"])
            return
        try:
            if job["attempts"] >= ATTEMPTS:
                said = f"{job['name']}: stopped the worker {ATTEMPTS} times; look at the file, or leave it out."
                self.end(job, "failed", error=said, status=422)
            else:
                self._send(self._held(job, state="queued", holder=None, sent=self.store.now()))
        except Lost:
            pass  # another was faster
