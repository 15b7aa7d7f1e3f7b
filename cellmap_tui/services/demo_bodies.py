"""Organelles with an outline of their own: balls and bent sausages, alone or pressed together.

Every body is a spine of points with a radius. Where two bodies of a kind overlap, the voxel goes to
the one that it lies deeper in, and the depth there counts from the common wall: bodies that touch
keep a membrane each, as pressed mitochondria and vesicles do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from cellmap_tui.services.demo_noise import Axes, Floats

FAR_NM = 30.0
"""Depths below minus this are not told apart: farther from a body, nothing depends on it."""
_WOBBLE_REACH_NM = 20.0
_SPINE_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Body:
    """One organelle: everything within `radius_nm` of a line through its spine."""

    kind: str
    """Class it belongs to: mito, ves, endo, lyso or ld."""
    spine_nm: Floats
    """Points of the middle line, float32 [n, 3]; a ball has one."""
    radius_nm: float
    grain: tuple[float, float, float, float]
    """Direction and phase of its inner texture."""
    dense: bool = False
    """Whether its lumen is dark."""

    @property
    def samples_nm(self) -> Floats:
        """Points along the spine, close enough together to measure clearances with, [m, 3]."""
        import numpy as np

        if len(self.spine_nm) == 1:
            return self.spine_nm
        steps = np.linspace(0, 1, _SPINE_SAMPLES, dtype=np.float32)[:, None]
        legs = [a + steps * (b - a) for a, b in zip(self.spine_nm[:-1], self.spine_nm[1:], strict=True)]
        return np.concatenate(legs)


@dataclass(frozen=True, slots=True)
class BodyDepths:
    """Where the bodies of one group lie on a lattice."""

    depth_nm: Floats
    """Distance to the wall of the body that holds the voxel; negative outside, not below -`FAR_NM`."""
    index: npt.NDArray[np.int32]
    """Position of that body in its group, counted from 1; 0 far from all."""


class Crowd:
    """Bodies placed so far, for asking whether another one fits between them."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self._points: Any = None
        self._radii: Any = None

    def add(self, body: Body) -> None:
        """Place a body."""
        import numpy as np

        points = body.samples_nm
        radii = np.full(len(points), body.radius_nm, np.float32)
        self.bodies.append(body)
        self._points = points if self._points is None else np.concatenate([self._points, points])
        self._radii = radii if self._radii is None else np.concatenate([self._radii, radii])

    def clearance_nm(self, body: Body) -> float:
        """Return the free distance between `body` and its nearest neighbour; negative when they overlap."""
        if self._points is None:
            return float("inf")
        offsets = body.samples_nm[:, None, :] - self._points[None, :, :]
        gaps = (offsets**2).sum(axis=2) ** 0.5 - self._radii[None, :]
        return float(gaps.min()) - body.radius_nm


def body_depths(bodies: Sequence[Body], axes: Axes, wobble_nm: Floats) -> BodyDepths:
    """Return depth and owner for every voxel of a lattice.

    Parameters
    ----------
    bodies
        Bodies of one group, in the order that gives them their numbers.
    axes
        World positions along z, y and x, nm.
    wobble_nm
        Unevenness of the outlines on the same lattice, float32 [z, y, x].
    """
    import numpy as np

    shape = wobble_nm.shape
    best = np.full(shape, -FAR_NM, np.float32)
    second = np.full(shape, -FAR_NM, np.float32)
    index = np.zeros(shape, np.int32)
    for number, body in enumerate(bodies, start=1):
        window = _window(body, axes)
        if window is None:
            continue
        near = tuple(axis[part] for axis, part in zip(axes, window, strict=True))
        depth = body.radius_nm - _distance(body.spine_nm, near) + wobble_nm[window]  # type: ignore[arg-type]
        top, runner_up, owner = best[window], second[window], index[window]
        wins = depth > top
        np.copyto(runner_up, np.where(wins, top, np.maximum(runner_up, depth)))
        np.copyto(top, depth, where=wins)
        np.copyto(owner, number, where=wins)
    return BodyDepths(np.minimum(best, (best - second) / 2, where=second > -FAR_NM, out=best), index)


def _window(body: Body, axes: Axes) -> tuple[slice, slice, slice] | None:
    import numpy as np

    reach = body.radius_nm + FAR_NM + _WOBBLE_REACH_NM
    slices = []
    for axis, positions in enumerate(axes):
        low, high = body.spine_nm[:, axis].min() - reach, body.spine_nm[:, axis].max() + reach
        start, stop = np.searchsorted(positions, [low, high])
        if start == stop:
            return None
        slices.append(slice(int(start), int(stop)))
    return (slices[0], slices[1], slices[2])


def _distance(spine_nm: Floats, axes: Axes) -> Floats:
    import numpy as np

    z, y, x = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    nearest: Any = None
    starts = spine_nm[:-1] if len(spine_nm) > 1 else spine_nm
    ends = spine_nm[1:] if len(spine_nm) > 1 else spine_nm
    for a, b in zip(starts, ends, strict=True):
        leg = b - a
        oz, oy, ox = z - a[0], y - a[1], x - a[2]
        length_squared = float((leg**2).sum())
        if length_squared > 0:
            along = np.clip((oz * leg[0] + oy * leg[1] + ox * leg[2]) / length_squared, 0, 1)
            oz, oy, ox = oz - along * leg[0], oy - along * leg[1], ox - along * leg[2]
        squared = oz**2 + oy**2 + ox**2
        nearest = squared if nearest is None else np.minimum(nearest, squared)
    return np.sqrt(nearest)  # type: ignore[no-any-return]
