"""Photographs that show the same: found over all pairs, in bounded memory, and grouped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from srstudy.data.facts import THUMBNAIL
from srstudy.settings import Duplicates

ROWS, COLUMNS = 64, 16384  # hashes compared at a time: a million pairs
PAIRS = 65536  # thumbnails compared at a time


def duplicate_groups(scan: pd.DataFrame, settings: Duplicates) -> np.ndarray:
    """The group of every row of `scan` (columns sha256, phash, thumbnail): a number int64 [N], equal for duplicates.

    Rows belong together when their files are equal, or when both their perceptual hashes differ in at most
    `settings.distance` bits and their thumbnails, which tell apart what the hash can't, correlate by
    `settings.correlation` or more; and so does whatever is linked through others. Flat pictures, and rows without a
    hash, are like none but equal files.
    Turned and mirrored pictures, and those cut by more than about a twentieth on each side, are not found.
    """
    labels = pd.factorize(scan.sha256)[0].astype(np.int64)
    labels[scan.sha256 == ""] = labels.max(initial=0) + 1 + np.arange((scan.sha256 == "").sum())
    places = np.flatnonzero(scan.phash != "")
    thumbnails = np.frombuffer(b"".join(scan.thumbnail.iloc[places]), np.uint8).reshape(-1, THUMBNAIL * THUMBNAIL)
    lively = thumbnails.std(axis=1) >= settings.flat
    places, thumbnails = places[lively], thumbnails[lively]
    hashes = np.array([int(value, 16) for value in scan.phash.iloc[places]], np.uint64)
    for left, right in near_pairs(hashes, settings.distance):
        # Of a thousand frames of one scene nearly all pairs are linked already, and are not looked at again.
        new = labels[places[left]] != labels[places[right]]
        left, right = left[new], right[new]
        for start in range(0, len(left), PAIRS):
            one, other = left[start : start + PAIRS], right[start : start + PAIRS]
            same = correlation(thumbnails[one], thumbnails[other]) >= settings.correlation
            labels = _linked(labels, places[one[same]], places[other[same]])
    return labels


def closest_pairs(manifest: pd.DataFrame, count: int) -> list[tuple[str, str, int]]:
    """The `count` pairs of rows (ids) whose hashes differ least, and in how many bits; of more than 2000 rows,
    every second, or third, or so is looked at.
    """
    rows = manifest[manifest.phash != ""]
    rows = rows.iloc[:: -(-len(rows) // 2000) or 1]
    hashes = np.array([int(value, 16) for value in rows.phash], np.uint64)
    one, other = np.triu_indices(len(rows), 1)
    differing = np.bitwise_count(hashes[one] ^ hashes[other])
    nearest = differing.argsort(kind="stable")[:count]
    return [(rows.id.iloc[one[i]], rows.id.iloc[other[i]], int(differing[i])) for i in nearest]


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (i, j), i < j, of all hashes uint64 [N] that differ in at most `distance` bits, some at a time."""
    for top in range(0, len(hashes), ROWS):
        for left in range(top, len(hashes), COLUMNS):
            differing = np.bitwise_count(hashes[top : top + ROWS, None] ^ hashes[None, left : left + COLUMNS])
            rows, columns = np.nonzero(differing <= distance)
            rows, columns = rows + top, columns + left
            yield rows[rows < columns], columns[rows < columns]


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the rows of uint8 [N, P] with those of another; 0 where one doesn't vary."""
    # Whole numbers until the last step: equal on any machine.
    one, other = one.astype(np.int64), other.astype(np.int64)
    size = one.shape[1]
    both = size * (one * other).sum(axis=1) - one.sum(axis=1) * other.sum(axis=1)
    alone = [size * (values**2).sum(axis=1) - values.sum(axis=1) ** 2 for values in (one, other)]
    spread = np.sqrt(alone[0].astype(np.float64) * alone[1])
    return np.divide(both, spread, out=np.zeros(len(both)), where=spread > 0)


def _linked(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The labels after rows `one` and `other` were linked, pair by pair."""
    if not len(one):
        return labels
    count = labels.max() + 1
    links = coo_array((np.ones(len(one), bool), (labels[one], labels[other])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)[labels]
