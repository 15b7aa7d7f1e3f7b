"""The objects behind a score: who stands for whom, and the list that explains a number."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.scoring.overlaps import boxes, numbered
from cellmap_tui.scoring.results import ObjectRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.scoring.components import Labels
    from cellmap_tui.scoring.matching import Matches
    from cellmap_tui.scoring.overlaps import Overlaps
    from cellmap_tui.volumes.arrays import Voxels


class Partners:
    """Which components stand for each truth object.

    Parameters
    ----------
    overlaps
        Objects of both sides.
    matches
        Truth ids and component numbers of the matched pairs.
    keeps_unmatched
        Whether an unmatched component keeps its number: where that is a truth id, its voxels count as the
        truth object's own.
    """

    def __init__(self, overlaps: Overlaps, matches: Matches, *, keeps_unmatched: bool = False) -> None:
        self.overlaps = overlaps
        rows = np.searchsorted(overlaps.truth_ids, matches[0])
        self._component = np.zeros(len(overlaps.truth_ids), np.int64)
        self._component[rows] = matches[1]
        self._joined = np.zeros(len(overlaps.truth_ids), np.int64)
        self.is_taken = np.zeros(len(overlaps.component_sizes) + 1, np.bool_)
        self.is_taken[matches[1]] = True
        self.is_taken[0] = True
        if keeps_unmatched:
            known = overlaps.truth_ids < len(self.is_taken)
            ids = overlaps.truth_ids[known]
            self._joined[known] = np.where(self.is_taken[ids], 0, ids)

    @property
    def is_matched(self) -> NDArray[np.bool_]:
        """Which truth objects have a partner."""
        found: NDArray[np.bool_] = self._component > 0
        return found

    def numbers(self, index: int) -> tuple[int, ...]:
        """Return the components whose voxels stand for a truth object, its partner first."""
        return tuple(int(n) for n in (self._component[index], self._joined[index]) if n)

    def partner(self, index: int) -> int | None:
        """Return the component matched to a truth object."""
        return int(self._component[index]) or None

    def joined(self, index: int) -> tuple[int, ...]:
        """Return the unmatched components whose number is this truth object's id."""
        return (int(self._joined[index]),) if self._joined[index] else ()

    def is_same(self, index: int) -> bool:
        """Return whether truth object and prediction are the same voxels."""
        if self._joined[index] or not self._component[index]:
            return False
        size = self.overlaps.truth_sizes[index]
        shared = self._shared[index]
        return bool(shared == size == self.overlaps.component_sizes[self._component[index] - 1])

    def iou(self, index: int) -> float:
        """Return the IoU of a truth object and its partner; 0 without one."""
        shared = int(self._shared[index])
        if not shared:
            return 0.0
        sizes = self.overlaps.truth_sizes[index] + self.overlaps.component_sizes[self._component[index] - 1]
        return float(shared / (sizes - shared))

    @cached_property
    def _shared(self) -> NDArray[np.int64]:
        overlaps = self.overlaps
        base = len(self.is_taken)
        codes = overlaps.rows * base + overlaps.columns
        wanted = overlaps.truth_ids * base + self._component
        at = np.minimum(np.searchsorted(codes, wanted), max(0, len(codes) - 1))
        if not len(codes):
            return np.zeros(len(wanted), np.int64)
        found: NDArray[np.int64] = np.where(codes[at] == wanted, overlaps.shared[at], 0)
        return found


def object_rows(
    truth: Voxels,
    labels: Labels,
    ids: Voxels,
    partners: Partners,
    distances_nm: NDArray[np.float64] | None = None,
    scores: NDArray[np.float64] | None = None,
    unmatched_score: float = 0.0,
) -> tuple[ObjectRow, ...]:
    """Return every object of both sides: matched and missed truth objects, then hallucinated components.

    Parameters
    ----------
    truth, labels, ids
        Truth ids, component numbers and predicted ids ``[z, y, x]``.
    partners
        Who stands for whom.
    distances_nm, scores
        Distance and boundary score of every truth object; None where distances are not measured.
    unmatched_score
        Boundary score of a hallucinated component.
    """
    overlaps = partners.overlaps
    truth_places = _places(*numbered(truth, overlaps.truth_ids))
    places = _places(labels, np.arange(1, len(partners.is_taken)))
    rows = []
    for index, truth_id in enumerate(overlaps.truth_ids):
        component = partners.partner(index)
        rows.append(
            ObjectRow(
                kind="matched" if component else "missed",
                truth_id=int(truth_id),
                component=component,
                predicted_id=_whole(ids[places[component - 1]]) if component else None,
                iou=partners.iou(index),
                distance_nm=float(distances_nm[index])
                if distances_nm is not None and partners.numbers(index)
                else None,
                boundary_score=float(scores[index]) if scores is not None else 0.0,
                voxels=int(overlaps.truth_sizes[index]),
                centre_voxel=truth_places[index],
                joined_components=partners.joined(index),
            )
        )
    for number in np.flatnonzero(~partners.is_taken):
        place = places[number - 1]
        rows.append(
            ObjectRow(
                kind="hallucinated",
                truth_id=None,
                component=int(number),
                predicted_id=_whole(ids[place]),
                iou=0.0,
                distance_nm=None,
                boundary_score=unmatched_score,
                voxels=int(overlaps.component_sizes[number - 1]),
                centre_voxel=place,
            )
        )
    return tuple(rows)


def _places(volume: Voxels, numbers: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return the voxel of each object that is nearest to the middle of its box."""
    around = boxes(volume)
    places = []
    for number in numbers:
        box = around[number - 1]
        if box is None:
            raise AssertionError(f"object {number} has no voxel")
        inside = np.argwhere(volume[box] == number)
        middle = np.asarray([part.stop - part.start - 1 for part in box]) / 2
        z, y, x = inside[np.argmin(((inside - middle) ** 2).sum(axis=1))].tolist()
        places.append((z + box[0].start, y + box[1].start, x + box[2].start))
    return places


def _whole(value: np.generic) -> int:
    return int(value.item())
