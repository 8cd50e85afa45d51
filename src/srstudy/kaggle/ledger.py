"""What was pushed to Kaggle, on disk: what a killed command began, the next one finds there and on the account."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from srstudy import StudyError
from srstudy.files import write_json
from srstudy.kaggle import PREFIX
from srstudy.kaggle.service import Service

ACTIVE, ENDED = ("queued", "running"), ("complete", "failed")
GRACE = 120.0  # seconds in which a push that was cut off may still arrive


class Ledger:
    """Sessions by slug, each with `state`, `cards` (runs in turn by card) and `inputs` (of its runs); the runs'
    `progress`: where the furthest checkpoint is; measured `rates`.

    States: pushing (may be on the account or not), queued, running, complete, failed, and, at the end, pulled or gone
    (from the account, stopped or never there). Each change is written at once, whole.
    """

    def __init__(self, path: Path):
        """Raises StudyError where the file is no JSON."""
        self.path = path
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise StudyError(f"{path}: is no JSON ({error}); remove it, and what runs is found again.") from None
        self.sessions: dict[str, dict[str, Any]] = content.get("sessions", {})
        self.progress: dict[str, dict[str, Any]] = content.get("progress", {})
        self.rates: dict[str, float] = content.get("rates", {})

    def save(self) -> None:
        """Write all of it."""
        write_json(self.path, {name: getattr(self, name) for name in ("sessions", "progress", "rates")})

    def note(self, slug: str, state: str, **more: Any) -> None:
        """Write that a session has this state, and more of it."""
        self.sessions[slug] = {**self.sessions.get(slug, {}), **more, "state": state, "at": time.time()}
        self.save()

    def of(self, *states: str) -> dict[str, dict[str, Any]]:
        """Sessions in one of these states, the oldest first."""
        by_time = sorted(self.sessions.items(), key=lambda item: item[0].split("-")[-3:])  # before that, a commit
        return {slug: one for slug, one in by_time if one["state"] in states}

    def reconcile(self, service: Service) -> None:
        """Compare with the account: what became of each session, and those that this file knows nothing of.

        Waits for a push that was cut off less than GRACE seconds ago: it may still arrive.
        """
        for slug in service.sessions(PREFIX):
            known = {key: one for key, one in self.sessions.get(slug, {}).items() if key in ("cards", "inputs")}
            if self.sessions.get(slug, {"state": "gone"})["state"] == "gone":  # or it arrived later than was waited for
                self.note(slug, "queued", **{"cards": {}, "inputs": {}, **known})
        for slug, one in self.of("pushing", *ACTIVE, *ENDED).items():
            found = service.status(slug)
            if one["state"] == "pushing" and found is None:
                time.sleep(max(0.0, one["at"] + GRACE - time.time()))
                found = service.status(slug)
            if (state := found or "gone") != one["state"]:
                self.note(slug, state)


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    """The project's ledger, for one command at a time. Raises StudyError while another one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "ledger.lock", timeout=0):
            yield Ledger(folder / "ledger.json")
    except Timeout:
        raise StudyError(f"{folder}: another command works with it; wait until that has ended.") from None
