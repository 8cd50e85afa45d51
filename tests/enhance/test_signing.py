"""Signed outputs, read by C2PA's own reader: valid, made by a network, and without a picture of something else."""

import datetime
import json

import pytest
from PIL import Image
from tests.enhance.footage import picture, write

from srstudy import StudyError
from srstudy.enhance.metadata import SOURCE_TYPE
from srstudy.enhance.record import beside
from srstudy.enhance.signing import Signer
from srstudy.enhance.verify import verify
from srstudy.enhance.work import Settings, enhance
from srstudy.files import sha256

c2pa = pytest.importorskip("c2pa")
x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

NOT = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
                     "decipher_only"), False)  # fmt: skip


def certificate(name, key, issuer, issuers_key):
    day, now, root = datetime.timedelta(days=1), datetime.datetime.now(datetime.timezone.utc), name == issuer
    names = [x509.Name([x509.NameAttribute(kind, text) for kind in (x509.OID_COMMON_NAME, x509.OID_ORGANIZATION_NAME)])
             for text in (issuer, name)]  # fmt: skip
    built = x509.CertificateBuilder(*names, key.public_key(), x509.random_serial_number(), now - day, now + day)
    used = x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=False, **NOT)
    issued = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key.public_key())
    for extension, critical in ((x509.BasicConstraints(root, None), True), (used, True), (issued, False)):
        built = built.add_extension(extension, critical)
    built = built if root else built.add_extension(x509.ExtendedKeyUsage([x509.OID_EMAIL_PROTECTION]), False)
    return built.sign(issuers_key, hashes.SHA256())


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with a key, its chain of two certificates, and a key that fits neither."""
    folder, pem = tmp_path_factory.mktemp("keys"), serialization.Encoding.PEM
    root, leaf, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    chain = certificate("leaf", leaf, "root", root), certificate("root", root, "root", root)
    (folder / "chain.pem").write_bytes(b"".join(one.public_bytes(pem) for one in chain))
    for name, key in (("key.pem", leaf), ("other.pem", other)):
        text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / name).write_bytes(text)
    return folder


@pytest.fixture
def signer(keys):
    return Signer(keys / "key.pem", keys / "chain.pem")


def statement(reader):
    """What the active manifest says, if all of it is valid."""
    said = json.loads(reader.json())
    assert said["validation_state"] == "Valid", said.get("validation_status")
    return said["manifests"][said["active_manifest"]]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif", "a.mp4", "a.mkv"])
def test_a_signed_file_says_that_a_network_made_it(signer, photo, tmp_path, name):
    path, sidecar = tmp_path / name, tmp_path / "a.mkv.c2pa"
    if name in ("a.mp4", "a.mkv"):
        write(path, [picture(0)])
    else:
        Image.fromarray(photo[100:164, 100:164]).save(path)
    before, done = path.read_bytes(), signer.sign(path, "srstudy 0.1")
    assert done.pop("certificates_sha256") == sha256(signer.certificates)
    if name == "a.mkv":
        assert done == {"file": "a.mkv.c2pa"} and path.read_bytes() == before
        with path.open("rb") as file:
            found = statement(c2pa.Reader("video/x-matroska", file, sidecar.read_bytes()))
    else:
        assert done == {"file": name} and len(before) < path.stat().st_size < len(before) + 8000
        found = statement(c2pa.Reader(str(path)))
    [actions] = [each["data"]["actions"] for each in found["assertions"] if each["label"].startswith("c2pa.actions")]
    assert [(action["action"], action["digitalSourceType"]) for action in actions] == [("c2pa.created", SOURCE_TYPE)]
    assert "thumbnail" not in json.dumps(found)
    assert found["claim_generator_info"][0]["name"] == "srstudy" and found["title"] == name
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({name, done["file"]})


@pytest.mark.parametrize(
    ("key", "chain"), [("other.pem", "chain.pem"), ("chain.pem", "chain.pem"), ("key.pem", "key.pem")]
)
def test_a_wrong_key_is_refused_before_anything_is_made(keys, key, chain):
    with pytest.raises(StudyError, match=rf"--sign-key .+{key}: can't sign .+; see docs/enhance\.md\.$"):
        Signer(keys / key, keys / chain)


def test_a_file_that_can_not_be_signed_stays_as_it_is(signer, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(StudyError, match=r"can't sign a\.png"):
        signer.sign(tmp_path / "a.png", "srstudy 0.1")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"no image"]


def test_a_signed_output_is_recorded_and_verified_and_a_change_is_told(signer, evidence, save_image, photo, tmp_path):
    source, target = save_image(photo[:24, :24].copy(), "a.png"), tmp_path / "a-x4.png"
    enhance(source, target, Settings("psnr", "evidence"), evidence, lambda done, total: None, signer)
    record = json.loads(beside(target, "record.json").read_text(encoding="utf-8"))
    credentials = {"file": "a-x4.png", "certificates_sha256": sha256(signer.certificates)}
    assert record["what"]["content_credentials"] == credentials and record["output"]["sha256"] == sha256(target)
    statement(c2pa.Reader(str(target)))
    assert verify(beside(target, "record.json"), None, lambda done, total: None)[0]
    content = bytearray(target.read_bytes())
    content[-20] ^= 1
    target.write_bytes(content)
    assert json.loads(c2pa.Reader(str(target)).json())["validation_state"] == "Invalid"
