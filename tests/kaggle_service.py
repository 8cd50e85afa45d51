"""A stand-in for Kaggle's service on 127.0.0.1, for the real client: it checks who asks, and fails when told to.

It speaks to `kaggle` 2 (remote calls) and `kaggle` 1.7 (which Python 3.10 has; REST). As the service does, it answers a
request for an archive by a redirection to a store on another host, with a signature in the address.
"""

import base64
import hashlib
import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERNAME, KEY, TOKEN, SIGNATURE = "someone", "secret-key-0123", "KGAT_secret_token_4567", "secret-signature-89ab"
BASIC = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
SECRETS = (KEY, TOKEN, SIGNATURE, BASIC)


@dataclass(frozen=True)
class Refuse:
    """Answer with an error instead; `at` is where: when the archive is asked for, in the store, or at the log-in."""

    status: int
    at: str = "ask"


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the archive, then close the connection, or fall silent."""

    after: int
    silent: bool = False
    at: str = "store"


@dataclass
class KaggleService:
    """Archives by name (`owner/name`, `competitions/name`), faults that happen in this order, and what was asked."""

    archives: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Refuse | Cut] = field(default_factory=deque)
    log: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"kaggle": self}))
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def asked(self, place: str) -> list[dict[str, str]]:
        """Headers of the requests so far to `ask` or `store`."""
        return [headers for where, headers in self.log if where == place]

    def fault(self, place: str) -> Refuse | Cut | None:
        """The next fault, if it is for this place."""
        return self.faults.popleft() if self.faults and self.faults[0].at == place else None


def point_client_to(address: str) -> None:
    """Let the client of this process speak to another address than Kaggle's."""
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = address


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:  # a client that goes away is part of the tests
        pass


class Handler(BaseHTTPRequestHandler):
    kaggle: KaggleService
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "token" in body:
            fault = self.kaggle.fault("log-in")
            self._json(fault.status if fault else 200, {"active": body["token"] == TOKEN, "username": USERNAME})
        elif "competitionName" in body:
            self._ask(f"competitions/{body['competitionName']}")
        else:
            self._ask(f"{body['ownerSlug']}/{body['datasetSlug']}", body.get("datasetVersionNumber"))

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        kind, name = re.fullmatch(r".*(store|datasets/download|download-all)/(.*?)(?:\.zip)?", path).groups()
        if kind == "store":
            self._store(name)
        else:
            version = re.search(r"datasetversionnumber=(\d+)", query.lower())
            self._ask(name if "datasets" in kind else f"competitions/{name}", version and int(version[1]))

    def _ask(self, name: str, version: int | None = None) -> None:
        self.kaggle.log.append(("ask", {**self.headers, "version": str(version or "newest")}))
        fault, known = self.kaggle.fault("ask"), self.headers["Authorization"] in (f"Basic {BASIC}", f"Bearer {TOKEN}")
        status = fault.status if fault else 401 if not known else 302 if name in self.kaggle.archives else 404
        if status == 302:
            address = f"http://localhost:{self.kaggle.port}/store/{name}.zip?X-Signature={SIGNATURE}"
            self._send(302, {"Location": address, "Content-Type": "text/html"})
        else:
            self._json(status, {"code": status, "message": "refused"})

    def _store(self, name: str) -> None:
        whole, fault = self.kaggle.archives[name], self.kaggle.fault("store")
        self.kaggle.log.append(("store", dict(self.headers)))
        if isinstance(fault, Refuse):  # of another make
            return self._send(fault.status, {"Content-Type": "application/xml"}, b"<Error>Refused</Error>" * 1000)
        tag, wanted = f'"{hashlib.md5(whole).hexdigest()}"', self.headers.get("Range", "bytes=0-")
        start = int(wanted[6:-1]) if self.headers.get("If-Range", tag) == tag else 0
        headers = {"Content-Type": "application/zip", "Accept-Ranges": "bytes", "ETag": tag}
        headers["Content-Length"] = str(len(whole) - start)
        headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        self._send(206 if start else 200, headers, whole[start : start + fault.after if fault else None])
        if fault and fault.silent:
            self.kaggle.stopped.wait()
        self.close_connection = True

    def _json(self, status: int, value: object) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)
