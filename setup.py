"""The wheel carries the released models, which lie beside the code in a checkout; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithModels(build_py):
    """Copies each model, as ONNX, and its card into the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in Path("models", "released").glob("*/*"):
                if file.suffix in (".onnx", ".xml", ".bin", ".md"):
                    target = Path(self.build_lib, "srstudy", "enhance", "released", file.parent.name, file.name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)


setup(cmdclass={"build_py": WithModels})
