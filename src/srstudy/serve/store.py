"""What is known of each job, where every process finds it: in SQLite on one machine, in Redis on several."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Edit = Callable[["Job | None"], "Job | None"]  # what becomes of a job; None: it is not there
PREFIX = "srstudy"


class SqliteStore:
    """Jobs in a file. Threads have connections of their own."""

    unavailable: tuple[type[Exception], ...] = (sqlite3.OperationalError,)  # such as a full disk

    def __init__(self, path: Path):
        self._path, self._local = path, threading.local()

    def _database(self) -> sqlite3.Connection:
        if not hasattr(self._local, "database"):
            database = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA cache_size=-256")  # KiB; each of 40 threads would fill 2 MB in time
            database.execute("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, state TEXT, job TEXT)")
            database.execute("CREATE INDEX IF NOT EXISTS states ON jobs (state)")
            self._local.database = database
        return self._local.database

    def change(self, name: str, edit: Edit) -> Job | None:
        """Put what `edit` makes of a job in its place, at once or not at all; give it."""
        database = self._database()
        database.execute("BEGIN IMMEDIATE")
        try:
            job = edit(self.read(name))
            if job is None:
                database.execute("DELETE FROM jobs WHERE id = ?", (name,))
            else:
                row = name, job["state"], json.dumps(job)
                database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", row)
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        return job

    def read(self, name: str) -> Job | None:
        """A job, or None."""
        row = self._database().execute("SELECT job FROM jobs WHERE id = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        jobs = [json.loads(text) for (text,) in self._database().execute("SELECT job FROM jobs")]
        return sorted(jobs, key=lambda job: job["created"])

    def count(self, state: str) -> int:
        """How many jobs are in this state."""
        return self._database().execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()[0]

    def now(self) -> float:
        """Seconds, by the clock that all who use the store share."""
        return time.time()


class RedisStore:
    """Jobs in Redis: a text each, and for each state the set of those that are in it."""

    def __init__(self, url: str):
        import redis

        self.unavailable = (redis.RedisError,)
        self._redis = redis.Redis.from_url(url, socket_timeout=10, decode_responses=True)

    def change(self, name: str, edit: Edit) -> Job | None:
        """As SqliteStore's."""
        key = f"{PREFIX}:job:{name}"

        def replace(pipe) -> Job | None:
            text = pipe.get(key)
            old = json.loads(text) if text else None
            before, job = old and old["state"], edit(old)
            pipe.multi()
            if before:
                pipe.srem(f"{PREFIX}:{before}", name)
            if job is None:
                pipe.delete(key).srem(f"{PREFIX}:jobs", name)
            else:
                pipe.set(key, json.dumps(job)).sadd(f"{PREFIX}:jobs", name)
                pipe.sadd(f"{PREFIX}:{job['state']}", name)
            return job

        return self._redis.transaction(replace, key, value_from_callable=True)

    def read(self, name: str) -> Job | None:
        """A job, or None."""
        text = self._redis.get(f"{PREFIX}:job:{name}")
        return json.loads(text) if text else None

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        names = self._redis.smembers(f"{PREFIX}:jobs")
        texts = self._redis.mget([f"{PREFIX}:job:{name}" for name in names]) if names else []
        return sorted((json.loads(text) for text in texts if text), key=lambda job: job["created"])

    def count(self, state: str) -> int:
        """How many jobs are in this state."""
        return self._redis.scard(f"{PREFIX}:{state}")

    def now(self) -> float:
        """Seconds, by Redis's clock: those of machines differ."""
        seconds, microseconds = self._redis.time()
        return seconds + microseconds / 1e6


def open_store(folder: Path, redis: str | None) -> SqliteStore | RedisStore:
    """The store of a server whose files lie in `folder`."""
    return RedisStore(redis) if redis else SqliteStore(folder / "jobs.db")
