"""A stand-in for Kaggle's service on 127.0.0.1, for the real client: it checks who asks, and fails when told to.

It speaks to `kaggle` 2 (remote calls) and `kaggle` 1.7 (which Python 3.10 has; REST). As the service does, it answers a
request for an archive by a redirection to a store on another host, with a signature in the address.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERNAME, KEY, TOKEN, SIGNATURE = "someone", "secret-key-0123", "KGAT_secret_token_4567", "secret-signature-89ab"
SECRETS = (KEY, TOKEN, SIGNATURE, base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode())


@dataclass(frozen=True)
class Refuse:
    """Answer with an error instead; `at` is where: when the archive is asked for, in the store, or at the log-in."""

    status: int
    retry_after: str | None = None
    at: str = "ask"


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the archive, then close the connection."""

    after: int
    at: str = "store"


@dataclass(frozen=True)
class Stall:
    """Send so many bytes of the archive, then nothing, without closing the connection."""

    after: int
    at: str = "store"


Fault = Refuse | Cut | Stall


@dataclass
class KaggleService:
    """Archives by name (`owner/name`, `competitions/name`), faults that happen one after the other, and what was asked.

    `hashed`, `sized`, `tagged` and `ranged` say whether the store tells MD5, size and ETag, and can resume; `md5` and
    `size` are told instead of the true ones.
    """

    archives: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    log: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hashed: bool = True
    sized: bool = True
    tagged: bool = True
    ranged: bool = True
    md5: bytes | None = None
    size: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to answer."""
        service = self

        class Handler(_Handler):
            kaggle = service

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop answering."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, place: str) -> list[dict[str, str]]:
        """Headers of the requests so far to `ask` or `store`."""
        return [headers for where, headers in self.log if where == place]

    def fault(self, place: str) -> Fault | None:
        """The next fault, if it is for this place."""
        return self.faults.popleft() if self.faults and self.faults[0].at == place else None


def point_client_to(address: str) -> None:
    """Let the client of this process speak to another address than Kaggle's."""
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = address


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:  # a client that goes away is part of the tests
        pass


class _Handler(BaseHTTPRequestHandler):
    kaggle: KaggleService
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/v1/security.OAuthService/IntrospectToken":
            self._introspect(body)
        elif self.path == "/v1/datasets.DatasetApiService/DownloadDataset":
            name = f"{body['ownerSlug']}/{body['datasetSlug']}"
            self._ask(name, body.get("datasetVersionNumber"))
        elif self.path == "/v1/competitions.CompetitionApiService/DownloadDataFiles":
            self._ask(f"competitions/{body['competitionName']}", None)
        else:
            self._json(404, {"code": 404, "message": f"no such method: {self.path}"})

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/store/"):
            self._store(path.removeprefix("/store/"))
        elif path.startswith("/api/v1/datasets/download/"):
            version = re.search(r"datasetversionnumber=(\d+)", query.lower())
            self._ask(path.removeprefix("/api/v1/datasets/download/"), version and int(version[1]))
        elif path.startswith("/api/v1/competitions/data/download-all/"):
            self._ask(f"competitions/{path.rpartition('/')[2]}", None)
        else:
            self._json(404, {"code": 404, "message": f"no such page: {path}"})

    def _introspect(self, body: dict[str, str]) -> None:
        fault = self.kaggle.fault("log-in")
        if fault is not None:
            return self._refuse(fault)
        good = body["token"] == TOKEN
        self._json(200, {"active": True, "username": USERNAME} if good else {"active": False})

    def _ask(self, name: str, version: int | None) -> None:
        self.kaggle.log.append(("ask", {**self.headers, "version": str(version)}))
        fault = self.kaggle.fault("ask")
        basic = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
        if fault is not None:
            self._refuse(fault)
        elif self.headers["Authorization"] not in (f"Basic {basic}", f"Bearer {TOKEN}"):
            self._json(401, {"code": 401, "message": "Unauthenticated"})
        elif name not in self.kaggle.archives:
            self._json(404, {"code": 404, "message": "Not found"})
        else:
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.kaggle.port}/store/{name}?X-Signature={SIGNATURE}")
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _store(self, name: str) -> None:
        kaggle, whole = self.kaggle, self.kaggle.archives[name]
        kaggle.log.append(("store", dict(self.headers)))
        fault = kaggle.fault("store")
        if isinstance(fault, Refuse):
            return self._refuse(fault)
        tag = f'"{hashlib.md5(whole).hexdigest()}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        partial = kaggle.ranged and wanted is not None and self.headers.get("If-Range", tag) == tag
        start = int(wanted[1]) if partial else 0
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", "application/zip")
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        if kaggle.sized:
            self.send_header("Content-Length", str(len(whole) - start if partial else kaggle.size or len(whole)))
        if kaggle.tagged:
            self.send_header("ETag", tag)
        if kaggle.hashed:
            digest = base64.b64encode(kaggle.md5 or hashlib.md5(whole).digest()).decode()
            self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={digest}")
        self.send_header("Accept-Ranges", "bytes" if kaggle.ranged else "none")
        self.end_headers()
        self.wfile.write(whole[start:] if fault is None else whole[start : start + fault.after])
        if isinstance(fault, Stall):
            kaggle.stopped.wait()
        self.close_connection = True

    def _refuse(self, fault: Refuse) -> None:
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        if fault.at == "store":  # it is of another make
            self._send(fault.status, "application/xml", b"<Error><Code>Refused</Code></Error>", headers)
        else:
            self._json(fault.status, {"code": fault.status, "message": "refused"}, headers)

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(value).encode(), headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)
