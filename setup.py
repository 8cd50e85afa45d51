"""The wheel carries the released models and the page, which lie beside the code in a checkout; all else is in
pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PAGE = (".html", ".css", ".js", ".json", ".svg")


class WithModelsAndPage(build_py):
    """Copies each model, as ONNX, its card, and the page's files into the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in Path("models", "released").glob("*/*"):
                if file.suffix in (".onnx", ".xml", ".bin", ".md"):
                    self._copy(file, Path("enhance", "released", file.parent.name, file.name))
            for file in Path("web").glob("*"):  # without its runtime: the server does the work
                if file.suffix in PAGE and not file.name.startswith("package"):
                    self._copy(file, Path("serve", file))

    def _copy(self, file: Path, place: Path) -> None:
        target = Path(self.build_lib, "srstudy", place)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


setup(cmdclass={"build_py": WithModelsAndPage})
