"""Draws a scene of the synthetic cell from a seed: where each organelle goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cellmap_tui.services.demo_bodies import Body, Crowd
from cellmap_tui.services.demo_cell import (
    ENVELOPE_NM,
    PORE_RADIUS_NM,
    Ellipsoid,
    Points,
    Scene,
    cell_depths,
    nucleus_depth,
)
from cellmap_tui.services.demo_noise import NoiseField, noise_field

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.demo_noise import Floats

_CLEARANCE_NM = 30.0
_PRESSED_NM = 20.0
"""How far the outlines of touching mitochondria overlap before they are pressed flat."""
_VESICLE_NM = (27.0, 44.0)
"""Smallest and largest radius of a vesicle."""
_OTHERS = (("ld", 55.0, 95.0), ("lyso", 55.0, 95.0), ("endo", 60.0, 100.0))
"""Kinds of other organelles with their smallest and largest radius."""
_NOISES_NM = {"outline": 300, "ruffle": 110, "sheet": 360, "patch": 420, "wobble": 70, "chromatin": 130, "grain": 26}
"""Random fields by purpose, with the size of their features."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many of each organelle a scene tries to place."""

    mito_chains: int
    vesicle_clusters: int
    others: int
    pores: int
    body_scale: float = 1.0
    """Size of mitochondria and other large organelles relative to life."""


def build_scene(
    box: Grid,
    amounts: Amounts,
    rng: np.random.Generator,
    *,
    mirrored: bool,
    checkpoint: Callable[[], None] = lambda: None,
) -> Scene:
    """Draw a scene; the same generator state gives the same scene.

    Parameters
    ----------
    box
        Grid of the finest EM level.
    amounts
        How much to place.
    rng
        Source of all that is random.
    mirrored
        Lay the cells out the other way round along x.
    checkpoint
        Called often; may raise to give up.
    """
    noise = {name: noise_field(box, spacing, rng) for name, spacing in _NOISES_NM.items()}
    bare = _bare_scene(box, noise, mirrored=mirrored)
    builder = _Builder(bare, rng, amounts.body_scale, checkpoint)
    builder.place_mitochondria(amounts.mito_chains)
    builder.place_others(amounts.others)
    builder.place_vesicles(amounts.vesicle_clusters)
    return builder.scene(amounts.pores)


def _bare_scene(box: Grid, noise: dict[str, NoiseField], *, mirrored: bool) -> Scene:
    import numpy as np

    def at(z: float, y: float, x: float) -> Vec3:
        x = 1 - x if mirrored else x
        lz, ly, lx = box.lower_nm
        ez, ey, ex = box.extent_nm
        return (lz + z * ez, ly + y * ey, lx + x * ex)

    def size(z: float, y: float, x: float) -> Vec3:
        ez, ey, ex = box.extent_nm
        return (z * ez, y * ey, x * ex)

    nucleus = Ellipsoid(at(0.46, 0.37, 0.34), size(0.31, 0.25, 0.26))
    cells = (
        Ellipsoid(at(0.5, 0.38, 0.36), size(1.3, 0.50, 0.52)),
        Ellipsoid(at(0.5, 1.12, 0.16), size(1.3, 0.34, 0.46)),
    )
    nucleoli = (
        Ellipsoid(at(0.42, 0.32, 0.38), size(0.10, 0.075, 0.085)),
        Ellipsoid(at(0.56, 0.45, 0.30), size(0.08, 0.06, 0.055)),
    )
    resin = Ellipsoid(at(0.5, 1.0, 1.0), size(3.0, 0.34, 0.34))
    return Scene(box, cells, nucleus, nucleoli, resin, noise, np.zeros((0, 3), np.float32), (), (), ())


class _Builder:
    """Places organelles in the cytosol of a scene, none inside another."""

    def __init__(
        self, bare: Scene, rng: np.random.Generator, body_scale: float, checkpoint: Callable[[], None]
    ) -> None:
        self._bare = bare
        self._rng = rng
        self._scale = body_scale
        self._checkpoint = checkpoint
        self._mitochondria = Crowd()
        self._vesicles = Crowd()
        self._others = Crowd()

    def scene(self, pores: int) -> Scene:
        return replace(
            self._bare,
            pores_nm=self._pores(pores),
            mitochondria=tuple(self._mitochondria.bodies),
            vesicles=tuple(self._vesicles.bodies),
            others=tuple(self._others.bodies),
        )

    def place_mitochondria(self, chains: int) -> None:
        """Place bundles of one to four mitochondria that lie against each other."""
        for _ in range(chains):
            last = self._try(lambda: self._sausage(self._anywhere(), self._direction()), self._mitochondria)
            for _ in range(int(self._rng.integers(0, 4)) if last else 0):
                if last is not None:
                    last = self._try(partial(self._beside, last), self._mitochondria, pressed=True)

    def place_others(self, number: int) -> None:
        """Place endosomes, lysosomes and lipid droplets."""
        for k in range(number):
            kind, low, high = _OTHERS[k % len(_OTHERS)]
            draw = partial(self._free_ball, kind, self._scale * low, self._scale * high)
            self._try(draw, self._others)

    def place_vesicles(self, clusters: int) -> None:
        """Place clusters of vesicles that touch, and as many single ones."""
        for k in range(clusters):
            first = self._try(partial(self._free_ball, "ves", *_VESICLE_NM), self._vesicles)
            if first is None or k % 2 == 0:
                continue
            members = [first]
            for _ in range(int(self._rng.integers(4, 18))):
                partner = members[int(self._rng.integers(len(members)))]
                neighbour = self._try(partial(self._against, partner), self._vesicles, pressed=True)
                members += [neighbour] if neighbour else []

    def _try(self, draw: Callable[[], Body], crowd: Crowd, *, pressed: bool = False, tries: int = 40) -> Body | None:
        self._checkpoint()
        for _ in range(tries):
            body = draw()
            if self._fits(body, crowd, pressed=pressed):
                crowd.add(body)
                return body
        return None

    def _fits(self, body: Body, own: Crowd, *, pressed: bool) -> bool:
        overlap = (_PRESSED_NM + 6 if body.kind == "mito" else 8) if pressed else -_CLEARANCE_NM / 2
        for crowd in (self._mitochondria, self._others, self._vesicles):
            needed = -overlap if crowd is own else _CLEARANCE_NM / 2
            if crowd.clearance_nm(body) < needed:
                return False
        places = Points(body.samples_nm)
        depths = cell_depths(self._bare, places)
        inside = max(float(depths[0].min()), float(depths[1].min()))
        outside = -float(nucleus_depth(self._bare, places).max())
        return min(inside, outside) > body.radius_nm + _CLEARANCE_NM

    def _anywhere(self) -> Floats:
        import numpy as np

        lower, extent = np.array(self._bare.box.lower_nm), np.array(self._bare.box.extent_nm)
        place: Floats = (lower + self._rng.uniform(0, 1, 3) * extent).astype(np.float32)
        return place

    def _direction(self) -> Floats:
        import numpy as np

        vector = self._rng.standard_normal(3)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def _sausage(self, centre: Floats, direction: Floats) -> Body:
        import numpy as np

        half = self._scale * self._rng.uniform(70, 240)
        bend = np.cross(direction, self._direction()) * self._rng.uniform(0, 0.45) * half
        spine = np.stack([centre - half * direction, centre + bend, centre + half * direction])
        return Body(
            "mito", spine.astype(np.float32), self._scale * self._rng.uniform(75, 125), self._grain(direction)
        )

    def _beside(self, partner: Body) -> Body:
        import numpy as np

        along = partner.spine_nm[-1] - partner.spine_nm[0]
        across = np.cross(along, self._direction())
        across /= np.linalg.norm(across)
        radius = self._scale * self._rng.uniform(75, 125)
        shift = across * (partner.radius_nm + radius - _PRESSED_NM) + along * self._rng.uniform(-0.35, 0.35)
        spine = (partner.spine_nm + shift).astype(np.float32)
        return Body("mito", spine, radius, self._grain((along / np.linalg.norm(along)).astype(np.float32)))

    def _free_ball(self, kind: str, low_nm: float, high_nm: float) -> Body:
        return self._ball(kind, self._anywhere(), low_nm, high_nm)

    def _ball(self, kind: str, centre: Floats, low_nm: float, high_nm: float) -> Body:
        radius = self._rng.uniform(low_nm, high_nm)
        return Body(kind, centre[None, :], radius, self._grain(self._direction()), bool(self._rng.random() < 0.3))

    def _against(self, partner: Body) -> Body:
        import numpy as np

        body = self._ball("ves", partner.spine_nm[0], *_VESICLE_NM)
        shift = self._direction() * np.float32(partner.radius_nm + body.radius_nm - 7)
        return Body("ves", body.spine_nm + shift, body.radius_nm, body.grain, body.dense)

    def _grain(self, direction: Floats) -> tuple[float, float, float, float]:
        z, y, x = (float(v) for v in direction + 0.4 * self._direction())
        return (z, y, x, float(self._rng.uniform(0, 6.28)))

    def _pores(self, number: int) -> Floats:
        """Return points in the middle of the envelope, apart from each other, found by bisection."""
        import numpy as np

        centre = np.array(self._bare.nucleus.centre_nm, np.float32)
        directions = np.stack([self._direction() for _ in range(number)])
        low = np.zeros(number, np.float32)
        high = np.full(number, 1.6 * max(self._bare.nucleus.radii_nm), np.float32)
        for _ in range(24):
            middle = (low + high) / 2
            inside = nucleus_depth(self._bare, Points(centre + middle[:, None] * directions)) > ENVELOPE_NM / 2
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return _apart(centre + low[:, None] * directions, 3.2 * PORE_RADIUS_NM)


def _apart(points_nm: Floats, distance_nm: float) -> Floats:
    import numpy as np

    kept: list[Floats] = []
    for point in points_nm:
        if all(float(((point - other) ** 2).sum()) > distance_nm**2 for other in kept):
            kept.append(point)
    return np.array(kept, np.float32).reshape(-1, 3)
