"""Content credentials (C2PA): a signed statement in the file that a network made it; without thumbnails, at the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from srstudy import StudyError
from srstudy.enhance.metadata import SOURCE_TYPE
from srstudy.files import replacing, sha256

EMBEDDED = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".mp4", ".mov", ".avi"}


@dataclass(frozen=True)
class Signer:
    """A key of ES256 in PKCS#8 and its certificates, both PEM. Raises StudyError for those that can't sign."""

    key: Path
    certificates: Path

    def __post_init__(self) -> None:
        """Sign a pixel: what is wrong with the key is said before hours of computing, not behind them."""
        picture = BytesIO()
        Image.new("RGB", (1, 1)).save(picture, "png")
        self._signed("a test", "srstudy 0", lambda builder: builder.sign("image/png", picture, BytesIO()))

    def sign(self, target: Path, tool: str) -> dict[str, str]:
        """Sign a finished file, in place, or into a sidecar `.c2pa` where its format holds none; give what was done.

        Raises StudyError if that fails; the file is then as it was.
        """
        if target.suffix.lower() in EMBEDDED:
            with replacing(target) as temporary:
                self._signed(target.name, tool, lambda builder: builder.sign_file(target, temporary))
            return {"file": target.name, "certificates_sha256": sha256(self.certificates)}
        sidecar = target.with_name(f"{target.name}.c2pa")

        def beside(builder) -> bytes:
            builder.set_no_embed()
            with open(target, "rb") as content:
                return builder.sign("application/octet-stream", content, BytesIO())

        statement = self._signed(target.name, tool, beside)
        with replacing(sidecar) as temporary:
            temporary.write_bytes(statement)
        return {"file": sidecar.name, "certificates_sha256": sha256(self.certificates)}

    def _signed(self, title: str, tool: str, sign) -> bytes:
        try:
            import c2pa
        except ImportError as error:
            raise StudyError('--sign-key: needs c2pa-python; run `pip install ".[enhance,sign]"`.') from error
        name, version = tool.split()
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": tool}
        manifest = {
            "claim_generator_info": [{"name": name, "version": version}],
            "title": title,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
        }
        try:
            pair = self.certificates.read_bytes(), self.key.read_bytes()
            signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", *pair, None))
            with (  # the settings are a context's: those of `load_settings` are ignored from 0.38 on
                c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}}, signer) as context,
                c2pa.Builder(json.dumps(manifest), context) as builder,
            ):
                return bytes(sign(builder))
        except Exception as error:
            raise StudyError(f"--sign-key {self.key}: can't sign {title} ({error}); see docs/enhance.md.") from error
