"""The synthetic cell: what lies where, drawn from a seed.

A scene is a list of shapes in world space, nanometres, without voxels. EM and labels are sampled
from it at any voxel size, so they fit each other to a fraction of a voxel. What a voxel holds is
decided in `demo_tissue`, how it looks under the microscope in `demo_em`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cellmap_tui.services.demo_bodies import Body, Crowd
from cellmap_tui.services.demo_noise import NoiseField, noise_field, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.demo_noise import Axes, Floats

ENVELOPE_NM = 48.0
"""Thickness of the nuclear envelope: two membranes and the gap between them."""
PORE_RADIUS_NM = 50.0
_GAP_BETWEEN_CELLS_NM = 34.0
_RESIN_MARGIN_NM = 25.0
_CLEARANCE_NM = 30.0
_PRESSED_NM = 20.0
"""How far the outlines of touching mitochondria overlap before they are pressed flat."""
_VESICLE_NM = (27.0, 44.0)
"""Smallest and largest radius of a vesicle."""
_OTHERS = (("ld", 55.0, 95.0), ("lyso", 55.0, 95.0), ("endo", 60.0, 100.0))
"""Kinds of other organelles with their smallest and largest radius."""
_NOISES_NM = {"outline": 300, "ruffle": 110, "sheet": 360, "patch": 420, "wobble": 70, "chromatin": 130, "grain": 26}


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A rounded solid along the axes."""

    centre_nm: Vec3
    radii_nm: Vec3

    def depth_nm(self, z: Floats, y: Floats, x: Floats) -> Floats:
        """Return the depth below the surface, negative outside; exact to first order near the surface."""
        import numpy as np

        scaled = [(p - c) / r for p, c, r in zip((z, y, x), self.centre_nm, self.radii_nm, strict=True)]
        k0 = np.sqrt(sum((s**2 for s in scaled), np.float32(1e-6)))
        k1 = np.sqrt(sum(((s / r) ** 2 for s, r in zip(scaled, self.radii_nm, strict=True)), np.float32(1e-12)))
        return k0 * (1 - k0) / k1  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in one synthetic volume."""

    box: Grid
    """Grid of the finest EM level: where the scene has content."""
    cells: tuple[Ellipsoid, ...]
    nucleus: Ellipsoid
    """Nucleus of the first cell."""
    nucleoli: tuple[Ellipsoid, ...]
    resin: Ellipsoid
    """Corner that is free of cells."""
    noise: dict[str, NoiseField]
    """Smooth random fields by purpose."""
    pores_nm: Floats
    """Centres of the nuclear pores, float32 [n, 3]."""
    mitochondria: tuple[Body, ...]
    vesicles: tuple[Body, ...]
    others: tuple[Body, ...]
    """Endosomes, lysosomes and lipid droplets."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many of each organelle a scene tries to place."""

    mito_chains: int
    vesicle_clusters: int
    others: int
    pores: int
    body_scale: float = 1.0
    """Size of mitochondria and other large organelles relative to life."""


class Lattice:
    """Places on the product of three axes."""

    def __init__(self, axes: Axes) -> None:
        self.zyx = opened(axes)
        self._axes = axes
        self._values: dict[int, Floats] = {}

    def value(self, field: NoiseField) -> Floats:
        """Return a noise field at these places; remembered, since several shapes share a field."""
        if id(field) not in self._values:
            self._values[id(field)] = field.on(self._axes)
        return self._values[id(field)]


class Points:
    """Single places, [n, 3]."""

    def __init__(self, points_nm: Floats) -> None:
        self.zyx = (points_nm[:, 0], points_nm[:, 1], points_nm[:, 2])
        self._points_nm = points_nm
        self._values: dict[int, Floats] = {}

    def value(self, field: NoiseField) -> Floats:
        """Return a noise field at these places; remembered, since several shapes share a field."""
        if id(field) not in self._values:
            self._values[id(field)] = field.at(self._points_nm)
        return self._values[id(field)]


def cell_depths(scene: Scene, places: Lattice | Points) -> tuple[Floats, Floats]:
    """Return the depths below the two cells' surfaces in nm, a gap between the cells left free."""
    import numpy as np

    uneven = 34 * places.value(scene.noise["outline"]) + 9 * places.value(scene.noise["ruffle"])
    free = -scene.resin.depth_nm(*places.zyx) - _RESIN_MARGIN_NM
    first, second = (np.minimum(cell.depth_nm(*places.zyx) + uneven, free) for cell in scene.cells)
    half_gap = np.float32(_GAP_BETWEEN_CELLS_NM / 2)
    between = (first - second) / 2
    return np.minimum(first, between - half_gap), np.minimum(second, -between - half_gap)


def nucleus_depth(scene: Scene, places: Lattice | Points) -> Floats:
    """Return the depth below the outer nuclear membrane, nm."""
    uneven = 26 * places.value(scene.noise["outline"]) + 6 * places.value(scene.noise["ruffle"])
    return scene.nucleus.depth_nm(*places.zyx) - uneven


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
