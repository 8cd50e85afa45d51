"""Large pictures in tiles, which overlap by what a pixel depends on: tiled is equal to whole, at flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from srstudy.enhance.engine import SCALE, Engine

STEP = 16  # px: sides of what is kept of a tile are multiples
WHOLE = 160_000  # px of LR that are computed at once, unless the user says otherwise: 400 x 400
STRIP = 2_000_000  # px of LR of a strip, which is kept as SR several times while it is written: 100 MB each
Rows = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Span:
    """Along one side: a tile reaches from `first` to `last`; of it, `start` to `stop` is kept."""

    first: int
    last: int
    start: int
    stop: int

    @property
    def kept(self) -> slice:
        """The part that is kept, in the tile's own pixels."""
        return slice(self.start - self.first, self.stop - self.first)


def spans(length: int, most: int, reach: int) -> list[Span]:
    """Tiles of equal size along a side, which keep at most about `most` px each and see `reach` px around that."""
    count = -(-length // most)
    keep = -(-length // count // STEP) * STEP
    size = min(length, keep + 2 * reach)
    found = []
    for start in range(0, length, keep):
        first = min(max(0, start - reach), length - size)
        found.append(Span(first, first + size, start, min(start + keep, length)))
    return found


def plan(height: int, width: int, reach: int, tile: int | None = None) -> tuple[list[Span], list[Span]]:
    """Rows and columns of tiles, of one whole if that is small. `tile` is the side in px that a tile keeps."""
    if tile is None and height * width <= WHOLE:
        return spans(height, height, 0), spans(width, width, 0)
    side = tile or round(WHOLE**0.5)
    return spans(height, max(STEP, min(side, STRIP // width)), reach), spans(width, side, reach)


def enlarged(
    engine: Engine,
    rows: Rows,
    places: tuple[list[Span], list[Span]],
    finish: Callable[[np.ndarray, np.ndarray, Span, Span], np.ndarray],
    prepare: Callable[[np.ndarray], np.ndarray] = lambda lr: lr,
) -> Iterator[np.ndarray]:
    """Strips of SR [4h, 4W, C] from top to bottom. `rows(first, last)` gives rows of LR [h, W, C], never further up.

    `prepare(lr)` makes of a tile what the network gets, [h, w, 3]; `finish(lr, sr, row, column)` makes of the whole
    tile and the network's answer what stands in the strip.
    """
    down, across = places
    seen: deque[np.ndarray] = deque()

    def patches() -> Iterator[np.ndarray]:
        for row in down:
            strip = rows(row.first, row.last)
            for column in across:
                seen.append(strip[:, column.first : column.last])
                yield np.ascontiguousarray(prepare(seen[-1]))

    answers = engine.run(patches())
    for row in down:
        strip = None
        for column in across:
            sr = next(answers)
            sr = finish(seen.popleft(), sr, row, column)[_scaled(row.kept), _scaled(column.kept)]
            if len(across) == 1:
                strip = sr
                break
            if strip is None:  # filled in place: strips are large, and there is no room for two
                strip = np.empty((len(sr), SCALE * across[-1].stop, sr.shape[2]), sr.dtype)
            strip[:, SCALE * column.start : SCALE * column.stop] = sr
        yield strip


def _scaled(part: slice) -> slice:
    return slice(SCALE * part.start, SCALE * part.stop)
