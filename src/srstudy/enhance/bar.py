"""How far a file is: in the shell, and in a notebook, as text, which `notebooks/run.py` shows and reports leave out."""

from pathlib import Path

from tqdm import tqdm

from srstudy.photos.archives import printable


class Bar(tqdm):
    """A bar of megapixels or frames that is told how far it is."""

    def __init__(self, path: Path, hidden: bool | None = None):
        """`path` is the file that it is about; `hidden` bars are not drawn, by default where nobody looks."""
        super().__init__(desc=printable(path.name)[:30], disable=hidden, leave=False)

    def to(self, done: float, total: float) -> None:
        """So much is done, of so much."""
        self.total = total
        self.update(done - self.n)
