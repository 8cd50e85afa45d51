"""What a session left, brought to where the study's stages put it, and noted in dvc.lock."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srstudy import StudyError
from srstudy.files import replacing, sha256
from srstudy.kaggle import MANIFEST, TAIL
from srstudy.kaggle.ledger import Ledger
from srstudy.kaggle.plan import kind_of
from srstudy.kaggle.service import Infrastructure, Service
from srstudy.parsing import read_yaml
from srstudy.study import Study


def inputs_of(study: Study, name: str) -> str:
    """A digest of what decides a run: its file under build/inputs, and its tiles as dvc.lock has them."""
    path, lock = study.root / "build" / "inputs" / f"train-{name}.json", study.root / "dvc.lock"
    if not path.is_file():
        raise StudyError(f"{path}: is missing; run `make status`.")
    stages = read_yaml(lock.read_bytes(), "dvc.lock")["stages"] if lock.is_file() else {}
    tiles = stages.get(f"cut@{study.run(name).tile_set}", {}).get("outs")
    return hashlib.sha256(path.read_bytes() + repr(tiles).encode()).hexdigest()[:16]


def dvc(study: Study, *words: str) -> str:
    """What a command of DVC's prints. Raises StudyError where it fails."""
    command = [sys.executable, "-m", "dvc", *words]
    ran = subprocess.run(command, cwd=study.root, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise StudyError(f"`dvc {words[0]}` failed: {ran.stderr.strip()[-300:]}; mend that, and begin again.")
    return ran.stdout


def refresh(study: Study) -> None:
    """Let DVC write down anew what decides each run, which `inputs_of` reads. Raises StudyError where it can't."""
    if study.profile.folder:
        raise StudyError(f"profile: {study.profile_name} is not run by DVC; set another one.")
    dvc(study, "repro", "-q", "--single-item", "inputs")


def pull(study: Study, ledger: Ledger, service: Service, slug: str, folder: Path) -> list[str]:
    """Fetch an ended session's results; what to say of it. Each of its complete runs becomes that of its stage.

    Raises Infrastructure where something did not come whole; StudyError with the last lines of the log where its code
    failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as new:  # the client keeps older files that it finds
        service.output(slug, Path(new), rf"^{re.escape(MANIFEST)}$")
        path, log = Path(new, MANIFEST), "\n".join(file.read_text("utf-8") for file in Path(new).glob("*.log"))
        if not path.is_file():
            ledger.note(slug, "pulled")
            return _broken_off(log, slug)
        manifest = json.loads(path.read_text(encoding="utf-8"))
        again = ledger.sessions[slug].get("again") or [*manifest["runs"]]
        runs = {name: run for name, run in manifest["runs"].items() if name in again}
        if done := [name for name, run in runs.items() if run["complete"] and "earlier" not in run]:
            names = "|".join(map(re.escape, done))
            service.output(slug, Path(new), rf"^(models/({names})/|reports/(history|runs)/({names})\.)")
        said = [_settle(study, ledger, manifest, name, Path(new)) for name in runs]
    ledger.note(slug, "pulled", again=[])
    if manifest["state"] == "running":
        return _broken_off(log, slug, said)
    failed = {name: run["failed"] for name, run in runs.items() if "failed" in run}
    if failed:
        name, lines = next(iter(failed.items()))
        raise StudyError("\n".join([*said, f"{name}: failed on Kaggle; the last lines of its log:", *lines]))
    return said


def _settle(study: Study, ledger: Ledger, manifest: dict[str, Any], name: str, new: Path) -> str:
    """Put one run's results in place, or note its checkpoint; what to say of it."""
    run, slug = manifest["runs"][name], manifest["slug"]
    if name not in study.variants or manifest["inputs"].get(name) != inputs_of(study, name):
        return f"{name}: was pushed with other settings, tiles or code than are here now; it is left on Kaggle."
    if run["rate"] > 0:
        ledger.rates[kind_of(study, study.run(name))] = run["rate"]
    if not run["complete"]:
        known, inputs = ledger.progress.get(name, {}), manifest["inputs"][name]
        further = run["step"] >= known.get("step", 0) or known["inputs"] != inputs
        if further and (run["step"] or manifest["state"] == "running"):  # then there may be a later one
            ledger.progress[name] = {"slug": slug, "step": run["step"], "inputs": inputs}
        return f"{name}: step {run['step']} of {study.run(name).steps}; `make kaggle` goes on."
    if "earlier" in run:  # it was pulled, and then undone here
        if (earlier := run["earlier"]) not in ledger.sessions:
            return f"{name}: was complete in {earlier}, which is gone; `make kaggle` trains it anew."
        again = ledger.sessions[earlier].get("again", [])
        ledger.note(earlier, "complete", again=[*again, name])
        return f"{name}: was complete in {earlier} already, and comes from there."
    _place(study, manifest["files"], name, new)
    ledger.progress.pop(name, None)  # only now: what did not come whole is still to be gone on with
    return f"{name}: complete."


def _place(study: Study, files: dict[str, str], name: str, new: Path) -> None:
    """Put a run's files where its stage puts them, all compared with their hashes first, and note them."""
    wanted = rf"(models/{re.escape(name)}/|reports/(history|runs)/{re.escape(name)}\.)"
    for file in (places := [file for file in files if re.match(wanted, file)]):
        if not (new / file).is_file() or sha256(new / file) != files[file]:
            raise Infrastructure(f"{file}: did not come whole; run `make kaggle-pull` again.")
    tops = {"/".join(Path(file).parts[: 2 if file.startswith("models/") else 3]) for file in places}
    for top in sorted(tops):
        with replacing(study.root / top) as temporary:
            (shutil.copytree if (new / top).is_dir() else shutil.copyfile)(new / top, temporary)
    _note(study, name)


def _note(study: Study, name: str) -> None:
    """Write the entry of a run's stage, and of no other, in dvc.lock."""
    dvc(study, "commit", "-q", "-f", f"train@{name}")


def _broken_off(log: str, slug: str, said: Sequence[str] = ()) -> list[str]:
    """What else to say of a session that did not come to its end because Kaggle failed; StudyError if its code did."""
    lines = [line for line in log.splitlines() if line.strip()]
    if re.search(r"\w+Error\b", log):
        raise StudyError("\n".join([*said, f"{slug}: its notebook failed; the last lines of its log:", *lines[-TAIL:]]))
    way_out = "`make kaggle` pushes its runs again, and goes on with what was saved"
    return [*said, f"{slug}: Kaggle's machine failed; {way_out}."]
