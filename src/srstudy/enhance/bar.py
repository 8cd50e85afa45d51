"""How far a file is: in the shell, and in a notebook."""

from pathlib import Path

from tqdm.auto import tqdm

from srstudy.photos.archives import printable


class Bar(tqdm):
    """A bar of megapixels or frames that is told how far it is; none where nobody looks."""

    def __init__(self, path: Path, hidden: bool = False):
        """`path` is the file that it is about; `hidden` bars are not drawn."""
        super().__init__(desc=printable(path.name)[:30], disable=hidden or None, leave=False)

    def to(self, done: float, total: float) -> None:
        """So much is done, of so much."""
        self.total = total
        self.update(done - self.n)
