"""What the pipeline tests do with a clone of the project: run it, change a parameter, read what it left."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

OUTPUTS = ("data/manifest.parquet", "data/prepared/**/*", "models/**/*", "reports/**/*")  # of all stages


def environment(clone: Path) -> dict[str, str]:
    """The variables under which the clone's own code runs."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(clone / "src"),
        "DVC_NO_ANALYTICS": "1",
    }


def run(clone: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def repro(clone: Path, *options: str) -> list[str]:
    """Run `dvc repro`; return the stages that ran."""
    out = run(clone, "dvc", "repro", *options).stdout
    return [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")]


def set_parameter(clone: Path, *keys: str, value: object) -> None:
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    place = params
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def results(clone: Path) -> dict[str, bytes]:
    """Everything that must be equal in equal runs, by name: all that stages leave but checkpoints."""
    files = (path.relative_to(clone) for pattern in OUTPUTS for path in clone.glob(pattern) if path.is_file())
    # Hidden are DVC's own files, and what a killed stage leaves of a write.
    shown = (path for path in files if path.parts[1] != "checkpoints" and not any(p[0] == "." for p in path.parts))
    return {path.as_posix(): (clone / path).read_bytes() for path in shown}


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file that may be a link into DVC's cache, which has to stay as it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
