"""The page in `web/`, served with the headers that it is published with."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HIDDEN = re.compile(r"(^|/)\.[^/]|^node_modules/|\.sh$|^package|^vercel\.json$")


class _Page(StaticFiles):
    """Its files, with the headers of vercel.json; the last rule that fits a path wins."""

    def __init__(self, folder: Path):
        super().__init__(directory=folder, html=True)
        rules = json.loads((folder / "vercel.json").read_text(encoding="utf-8"))["headers"]
        self._rules = [(re.compile(rule["source"]), rule["headers"]) for rule in rules]

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Raises HTTPException for what is not to be seen."""
        if HIDDEN.search(path):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        for source, headers in self._rules:
            if source.fullmatch(scope["path"]):
                for header in headers:
                    response.headers[header["key"]] = header["value"]
        return response


def mount_page(app: FastAPI, folder: Path | None) -> None:
    """Serve the page at `/`; without one, send visitors to the page of the API."""
    if folder and (folder / "index.html").is_file():
        app.mount("/", _Page(folder), name="page")
    else:
        app.add_api_route("/", lambda: RedirectResponse("docs"), include_in_schema=False)
