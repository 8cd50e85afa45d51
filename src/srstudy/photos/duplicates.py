"""Photographs that show nearly the same: found over all pairs, in bounded memory, and grouped."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from srstudy.photos.facts import THUMBNAIL
from srstudy.settings import Duplicates

ROWS, COLUMNS = 64, 1024  # hashes compared at a time


def duplicate_groups(scan: pd.DataFrame, settings: Duplicates) -> np.ndarray:
    """The group of every row of `scan` (columns sha256, phash, thumbnail): int64 [N], equal for near-duplicates.

    Rows belong together when their files are equal, or when both their perceptual hashes differ in at most
    `settings.distance` bits and their thumbnails, which tell apart what the hash can't, correlate by
    `settings.correlation` or more. Links chain: a and c belong together where both are like b, though they need not be
    like each other, as the first and the last frame of a slow pan. Flat pictures, and rows without a hash, are like
    none but equal files. Turned and mirrored pictures, and those cut by more than about a twentieth on each side, are
    not found.
    """
    labels = pd.factorize(scan.sha256)[0].astype(np.int64)
    labels[scan.sha256 == ""] = labels.max(initial=0) + 1 + np.arange((scan.sha256 == "").sum())
    places = np.flatnonzero(scan.phash != "")
    thumbnails = np.frombuffer(b"".join(scan.thumbnail.iloc[places]), np.uint8).reshape(-1, THUMBNAIL**2)
    lively = thumbnails.std(axis=1) >= settings.flat
    places, thumbnails = places[lively], thumbnails[lively]
    for one, other in near_pairs(hash_numbers(scan.phash.iloc[places]), settings.distance):
        # Of a thousand frames of one scene nearly all pairs are linked already, and are not looked at again.
        new = labels[places[one]] != labels[places[other]]
        one, other = one[new], other[new]
        same = correlation(thumbnails[one], thumbnails[other]) >= settings.correlation
        if same.any():
            links, count = (labels[places[one[same]]], labels[places[other[same]]]), labels.max() + 1
            graph = coo_array((np.ones(same.sum(), bool), links), shape=(count, count))
            labels = connected_components(graph, directed=False)[1].astype(np.int64)[labels]
    return labels


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (i, j), i < j, of all hashes uint64 [N] that differ in at most `distance` bits, some at a time."""
    for top in range(0, len(hashes), ROWS):
        for left in range(top, len(hashes), COLUMNS):
            differing = np.bitwise_count(hashes[top : top + ROWS, None] ^ hashes[left : left + COLUMNS])
            rows, columns = np.nonzero(differing <= distance)
            rows, columns = rows + top, columns + left
            yield rows[rows < columns], columns[rows < columns]


def hash_numbers(hashes: pd.Series) -> np.ndarray:
    """Hexadecimal hashes as uint64 [N]."""
    return np.array([int(value, 16) for value in hashes], np.uint64)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the rows of uint8 [N, P] with those of another; 0 where one doesn't vary."""
    # With P a power of 2 all sums are exact: equal on any machine.
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    spread = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.divide((one * other).sum(axis=1), spread, out=np.zeros(len(one)), where=spread > 0)
