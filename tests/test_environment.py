"""The environment can be made again: the lock is whole, everything uses it, and what runs now is what it says."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
# One entry of the lock per line: its hashes are continuation lines.
ENTRIES = [line for line in LOCK.replace("\\\n", " ").splitlines() if not re.match(r"\s*(#|$)", line)]
LOCKED = [Requirement(entry.split(" --hash=")[0].strip()) for entry in ENTRIES if not entry.startswith("-")]
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}


def needs(*extras: str) -> list[Requirement]:
    """What these extras of the project ask for, and itself; one may name others of them."""
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    found = [Requirement(text) for text in texts]
    inner = {extra for need in found if need.name == "srstudy" for extra in need.extras}
    return [need for need in found if need.name != "srstudy"] + (needs(*inner) if inner else [])


def locked_versions(environment: dict[str, str]) -> dict[str, str]:
    """Name -> version of what the lock installs in an environment."""
    applying = [entry for entry in LOCKED if entry.marker is None or entry.marker.evaluate(environment)]
    versions = {canonicalize_name(entry.name): str(entry.specifier).removeprefix("==") for entry in applying}
    assert len(versions) == len(applying), "the lock names a package twice for one environment"
    return versions


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_lock_satisfies_every_dependency_of_the_project(python: str, system: str):
    environment = default_environment() | SYSTEMS[system]
    environment |= {"python_version": python, "python_full_version": f"{python}.9"}
    versions = locked_versions(environment)
    needed = [need for need in needs("dev") if need.marker is None or need.marker.evaluate(environment)]
    assert {canonicalize_name(need.name) for need in needed} <= versions.keys()
    assert [str(need) for need in needed if versions[canonicalize_name(need.name)] not in need.specifier] == []


def test_every_line_of_the_lock_is_pinned_and_hashed():
    assert len(ENTRIES) > 100
    loose = [entry for entry in ENTRIES if not re.match(r"[a-z0-9-]+==[^\s*,]+ .*--hash=sha256:[0-9a-f]{64}\b", entry)]
    assert not loose


def test_conda_installs_the_same_lock_on_a_supported_python():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert [d["pip"] for d in dependencies if isinstance(d, dict)] == [["--require-hashes", "-r requirements.lock"]]
    assert [d for d in dependencies if isinstance(d, str) and not d.startswith("python=")] == ["pip"]
    (python,) = (d.removeprefix("python=") for d in dependencies if isinstance(d, str) and d.startswith("python="))
    assert python in SpecifierSet(PROJECT["requires-python"])


def imported(*folders: str) -> set[str]:
    """The packages, but for Python's own and the project's, that scripts and notebooks in these folders import."""
    paths = [path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    for path in (path for folder in folders for path in ROOT.glob(f"{folder}/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    own = {"srstudy", "tests", *(path.stem for path in paths)}
    return {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("src", "notebooks"), ("study", "sign", "serve", "metrics", "export")),
        (("tests",), ("dev", "metrics", "export", "web")),
        (("benchmarks",), ("study", "bench", "metrics", "web")),
    ],
)
def test_every_package_that_is_imported_is_declared(folders, extras):
    distributions = metadata.packages_distributions()
    lock = (ROOT / "benchmarks" / "rivals" / "requirements.lock").read_text(encoding="utf-8")
    rivals = re.findall(r"^[\w-]+(?===)", lock, re.MULTILINE)
    wanted = [*(need.name for need in needs(*extras)), *(rivals if "bench" in extras else ())]
    declared = {*map(canonicalize_name, wanted)} | {"pydantic-core"}
    # Of a package that is not installed, such as what only `make bench` needs, the module's name is its own.
    packages = {name: distributions.get(name, [name]) for name in imported(*folders)}
    assert {name for name in packages if declared.isdisjoint(map(canonicalize_name, packages[name]))} == set()


def test_installed_versions_are_the_locked_ones():
    def installed(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return "none"

    versions = locked_versions(default_environment())
    differing = {name: (installed(name), version) for name, version in versions.items() if installed(name) != version}
    assert not differing, "installed, locked: run `make install`"


def test_jupyter_server_has_nbdime_enabled():
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", listed.stdout + listed.stderr)
    assert re.search(r"^\s*nbdime enabled", plain, re.MULTILINE)
    assert re.search(r"^\s*nbdime \S+ .*OK", plain, re.MULTILINE)
