"""`srstudy serve`: the server and its workers; `srstudy worker`: a worker alone, such as on another machine."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from srstudy import StudyError

PAGES = (Path(__file__).resolve().parents[3] / "web", Path(__file__).parent / "web")  # of a checkout, of a package


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add both to the command line."""
    one = commands.add_parser("serve", help="offer the same over HTTP, with a page")
    one.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s: this machine alone)")
    one.add_argument("--port", type=int, default=8000)
    one.add_argument("--workers", type=int, default=1, metavar="N", help="processes that enlarge (%(default)s)")
    one.add_argument("--tokens", type=Path, metavar="FILE", help="a line 'USER TOKEN' each; without it all may come in")
    one.add_argument("--origin", action="append", default=[], metavar="URL", help="a page elsewhere that may ask")
    two = commands.add_parser("worker", help="enlarge what a server takes in, on this or another machine")
    redis = os.environ.get("SRSTUDY_REDIS")
    for command in (one, two):
        command.add_argument("--folder", type=Path, default=Path("srstudy-jobs"), help="of files (%(default)s)")
        command.add_argument("--redis", default=redis, metavar="URL", help="for several machines")
    two.add_argument("--name", help=argparse.SUPPRESS)
    two.add_argument("--tied", action="store_true", help=argparse.SUPPRESS)


def worker(options: argparse.Namespace) -> NoReturn:
    """Work until told to stop."""
    from srstudy.serve.receive import Limits
    from srstudy.serve.worker import work

    work(options.folder, options.redis, Limits.from_environment(), options.name, options.tied)


def serve(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    try:
        import uvicorn

        from srstudy.serve.app import create_app
        from srstudy.serve.jobs import Jobs
        from srstudy.serve.receive import Limits
    except ImportError as error:
        raise StudyError(f"serve: the package {error.name} is missing; install srstudy[serve].") from None
    limits, tokens = Limits.from_environment(), _tokens(options.tokens)
    if options.host not in ("127.0.0.1", "localhost", "::1") and not tokens:
        print("note: without --tokens, whoever reaches this address may use it.", file=sys.stderr)
    jobs = Jobs(options.folder, options.redis)
    (jobs.folder / "jobs").mkdir(exist_ok=True)
    page = next((page for page in PAGES if page.is_dir()), None)
    app = create_app(jobs, limits, tokens, options.redis, tuple(origin.rstrip("/") for origin in options.origin), page)
    team = Team(options, jobs)
    shown = "localhost" if options.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else options.host
    print(f"http://{shown}:{options.port}/  (the API: /docs; to stop: Ctrl-C)", file=sys.stderr, flush=True)
    try:
        uvicorn.run(app, host=options.host, port=options.port, log_level="warning", timeout_graceful_shutdown=3,
                    limit_concurrency=1000, server_header=False)  # fmt: skip
    finally:
        team.end()
    return 0


# glibc gives back at once what was large, and threads share what it keeps: a quarter less memory; elsewhere no matter.
SPARING = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576"}


class Team:
    """The workers of a server: one that ends is replaced, and what it held is queued again at once."""

    def __init__(self, options: argparse.Namespace, jobs):
        self._jobs, self._ending = jobs, threading.Event()
        self._command = [sys.executable, "-m", "srstudy", "worker", "--tied", "--folder", str(jobs.folder)]
        self._command += ["--redis", options.redis] if options.redis else []
        self._threads = [threading.Thread(target=self._keep, daemon=True) for _ in range(options.workers)]
        for thread in self._threads:
            thread.start()

    def _keep(self) -> None:
        while not self._ending.is_set():
            name = secrets.token_hex(6)
            command, environment = [*self._command, "--name", name], SPARING | os.environ
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
            while process.poll() is None and not self._ending.wait(0.2):
                pass
            process.stdin.close()  # it is to stop, and gives back what it holds
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with suppress(*self._jobs.store.unavailable):  # else it is found later, by its silence
                self._jobs.gone(name)
            if not self._ending.wait(0.5):
                print(f"worker ended ({process.returncode}); another begins.", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Let all stop."""
        self._ending.set()
        for thread in self._threads:
            thread.join()


def _tokens(path: Path | None) -> dict[str, str]:
    if path is None and not os.environ.get("SRSTUDY_TOKENS"):
        return {}
    named = f"--tokens {path}" if path else "SRSTUDY_TOKENS"
    try:
        text = path.read_text(encoding="utf-8") if path else os.environ["SRSTUDY_TOKENS"]
    except (OSError, UnicodeError) as error:
        raise StudyError(f"{named}: can't be read ({error}).") from None
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or any(len(line) != 2 or len(line[1]) < 16 for line in lines):
        raise StudyError(f"{named}: each line is a user and a token of 16 letters or more; correct it.")
    return {token: user for user, token in lines}
