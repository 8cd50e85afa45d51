"""A clone of the project for each module of pipeline tests, so that two of them can run side by side."""

import shutil
import subprocess
from pathlib import Path

import pytest
from clones import results, run, set_parameter


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory) -> Path:
    """A copy of what git would track, as a repository of its own, with the smoke profile and no results."""
    folder = tmp_path_factory.mktemp("clone")
    # By a repository of its own, so that a copy without .git is tested as well.
    git = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", git], check=True)
    command = ["git", f"--git-dir={git}/.git", f"--work-tree={root}", "ls-files", "-z", "-o", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    # The committed reports stay behind: DVC removes no output before its stage runs, so they would pass for new ones.
    # What the report reads of other test sets is no output.
    for name in (name for name in listed.split("\0") if name):
        if (root / name).is_file() and (not name.startswith("reports/") or name.startswith("reports/test_sets/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    committed = "models/pretrained/", "models/released/", "models/tenth/", "reports/test_sets/"
    assert all(name.startswith(committed) for name in results(folder))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    subprocess.run(["git", *author, "commit", "-q", "--allow-empty", "-m", "start"], cwd=folder, check=True)
    set_parameter(folder, "profile", value="smoke")
    due = run(folder, "dvc", "status", "pretrain").stdout
    assert "up to date" in due, f"hours of training would follow:\n{due}"
    return folder
