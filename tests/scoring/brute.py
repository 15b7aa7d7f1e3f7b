"""The definitions of scoring, written as plainly as possible, for volumes of a few hundred voxels."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.spatial.distance import cdist

NEIGHBOURS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def components(prediction):
    """26-connected components of each id, numbered by their first voxel in scan order."""
    labels = np.zeros(prediction.shape, np.int64)
    count = 0
    for start in np.ndindex(prediction.shape):
        if prediction[start] == 0 or labels[start]:
            continue
        count += 1
        labels[start] = count
        open_ends = [start]
        while open_ends:
            voxel = open_ends.pop()
            for step in NEIGHBOURS:
                there = tuple(a + b for a, b in zip(voxel, step, strict=True))
                inside = all(0 <= a < n for a, n in zip(there, prediction.shape, strict=True))
                if inside and not labels[there] and prediction[there] == prediction[start]:
                    labels[there] = count
                    open_ends.append(there)
    return labels, count


def iou(truth, labels, truth_id, number):
    here, there = truth == truth_id, labels == number
    union = int((here | there).sum())
    return int((here & there).sum()) / union if union else 0.0


def hausdorff(here, there, voxel_size):
    """Of two masks in nm; None if either is empty."""
    if not here.any() or not there.any():
        return None
    distances = cdist(np.argwhere(here) * np.asarray(voxel_size), np.argwhere(there) * np.asarray(voxel_size))
    return max(distances.min(axis=0).max(), distances.min(axis=1).max())


def cap(shape, voxel_size):
    return min(n * s / 2 for n, s in zip(shape, voxel_size, strict=True))


def renamed(labels, matches, *, keeps_unmatched):
    """Matched components carry the id of their truth object; `matches` is component to truth id."""
    result = labels.copy() if keeps_unmatched else np.zeros_like(labels)
    for component, truth_id in matches.items():
        result[labels == component] = truth_id
    return result


def volume(rng, shape, ids, *, filled=0.5):
    """Random ids with some extent: a coarse random volume, enlarged."""
    coarse = rng.integers(1, ids + 1, [-(-n // 2) for n in shape]) * (
        rng.random([-(-n // 2) for n in shape]) < filled
    )
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(slice(n) for n in shape)]
    noise = rng.random(shape) < 0.1
    return np.where(noise, rng.integers(0, ids + 1, shape), fine)
