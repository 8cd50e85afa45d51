"""A stand-in for an account on Kaggle: kernels, data sets and quota, as the real client asks for them; fails when told.

A kernel's session starts when it is pushed, also where one runs already, as on Kaggle; `run` lets it end.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tests.kaggle_service import BASIC, TOKEN, USERNAME, Handler, Server


@dataclass
class Kernel:
    """A pushed notebook: its request, how many sessions were started, and how the last one is."""

    request: dict
    started: int = 0
    status: str = "RUNNING"
    log: str = ""
    output: Path | None = None


@dataclass
class Account:
    """`faults`: for the next requests of an operation, in turn, a status, "after" (done, then 502), or an answer."""

    kernels: dict[str, Kernel] = field(default_factory=dict)
    datasets: dict[str, dict] = field(default_factory=dict)
    blobs: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    faults: dict[str, list] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unready: int = 1  # answers that a new data set is not ready yet
    used: float = 1.0  # hours of the quota
    valid: tuple[str, ...] = (f"Basic {BASIC}", f"Bearer {TOKEN}")
    arriving: threading.Event = field(default_factory=threading.Event)  # set: a push has been received
    hold: threading.Event | None = None  # a push waits for it before anything is done

    def start(self) -> str:
        self.server = Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"account": self}))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self.address

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def started(self) -> dict[str, int]:
        return {slug: kernel.started for slug, kernel in self.kernels.items()}

    def save_kernel(self, body: dict) -> dict:
        self.arriving.set()
        if self.hold:
            self.hold.wait(30)
        slug = body["slug"].partition("/")[2]
        kernel = self.kernels.setdefault(slug, Kernel(body))
        kernel.request, kernel.status, kernel.started = body, "RUNNING", kernel.started + 1
        return {"ref": f"/code/{body['slug']}", "url": f"{self.address}/code/{slug}", "versionNumber": kernel.started}

    def list_kernels(self, body: dict) -> dict:
        slugs, start = sorted(self.kernels), int(body.get("pageToken") or 0)
        page = [{"ref": f"{USERNAME}/{slug}"} for slug in slugs[start : start + 2]]  # small pages, to be turned
        return {"kernels": page, "nextPageToken": str(start + 2) if start + 2 < len(slugs) else ""}

    def get_kernel_session_status(self, body: dict) -> dict | int:
        kernel = self.kernels.get(body["kernelSlug"])
        return {"status": kernel.status} if kernel else 403

    def list_kernel_session_output(self, body: dict) -> dict | int:
        kernel = self.kernels.get(body["kernelSlug"])
        if kernel is None:
            return 403
        files = sorted(path for path in (kernel.output or Path("/nowhere")).rglob("*") if path.is_file())
        start, size = int(body.get("pageToken") or 0), body["pageSize"]
        names = [path.relative_to(kernel.output).as_posix() for path in files[start : start + size]]
        place = f"{self.address}/output/{body['kernelSlug']}"
        page = [{"fileName": name, "url": f"{place}/{name}?k=signed"} for name in names]
        more = {"nextPageToken": str(start + size)} if start + size < len(files) else {}
        return {"files": page, "log": kernel.log, **more}

    def delete_kernel(self, body: dict) -> dict | int:
        self.deleted.append(body["kernelSlug"])
        return {} if self.kernels.pop(body["kernelSlug"], None) else 404

    def get_accelerator_quota_statistics(self, body: dict) -> dict:
        return {"gpuQuota": {"timeUsed": f"{self.used * 3600:.0f}s", "totalTimeAllowed": "108000s"}}

    def get_dataset_status(self, body: dict) -> dict | int:
        if (dataset := self.datasets.get(body["datasetSlug"])) is None:
            return 403
        dataset["asked"] += 1
        return {"status": "READY" if dataset["asked"] > self.unready else "BLOBS_RECEIVED"}

    def start_blob_upload(self, body: dict) -> dict:
        token = str(len(self.blobs))
        self.blobs[token] = (body["name"], b"")
        return {"token": token, "createUrl": f"{self.address}/blob/{token}"}

    def create_dataset(self, body: dict) -> dict:
        files = dict(self.blobs[file["token"]] for file in body["files"])
        self.datasets[body["slug"]] = {"files": files, "asked": 0, "private": body.get("isPrivate")}
        return {"status": "ok", "ref": body["slug"], "url": f"{self.address}/datasets/{body['slug']}"}

    def list_dataset_files(self, body: dict) -> dict:
        return {"datasetFiles": [{"name": name} for name in self.datasets[body["datasetSlug"]]["files"]]}

    def introspect_token(self, body: dict) -> dict:
        return {"active": body["token"] == TOKEN, "username": USERNAME}


class _Handler(Handler):
    account: Account

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.path.rpartition("/")[2]).lower()
        self.account.calls.append(operation)
        fault = self._fault(operation)
        if operation != "introspect_token" and self.headers.get("Authorization") not in self.account.valid:
            answer = 401
        elif isinstance(fault, (int, dict)):
            answer = fault
        else:
            answer = getattr(self.account, operation)(body)
            answer = 502 if fault == "after" else answer
        self._json(*((answer, {"code": answer, "message": "no"}) if isinstance(answer, int) else (200, answer)))

    def do_PUT(self) -> None:
        content, token = self.rfile.read(int(self.headers["Content-Length"])), self.path.rpartition("/")[2]
        asks = self.headers.get("Content-Range", "").startswith("bytes */")  # how much is there?
        status = 308 if asks and not self.account.blobs[token][1] else self._fault("upload") or 200
        if status == 200 and not asks:
            self.account.blobs[token] = (self.account.blobs[token][0], content)
        self._json(status, {})

    def do_GET(self) -> None:
        slug, name = re.fullmatch(r"/output/([^/]+)/(.*)", unquote(self.path.partition("?")[0])).groups()
        content, fault = (self.account.kernels[slug].output / name).read_bytes(), self._fault("download")
        status = fault if isinstance(fault, int) else 200
        body = b"<html>busy" if status != 200 else content[: len(content) // 2] if fault == "half" else content
        self._send(status, {"Content-Type": "application/octet-stream"}, body)

    def _fault(self, operation: str) -> object:
        waiting = self.account.faults.get(operation)
        return waiting.pop(0) if waiting else None
