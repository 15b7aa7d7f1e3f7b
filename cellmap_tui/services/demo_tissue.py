"""What every voxel of the synthetic cell is: its finest class and the object it belongs to.

Each voxel has exactly one atomic class; organelles were placed apart, and where sheets of the
endoplasmic reticulum would run into something, they end before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.services.demo_bodies import FAR_NM, BodyDepths, body_depths
from cellmap_tui.services.demo_cell import ENVELOPE_NM, PORE_RADIUS_NM, Lattice, cell_depths, nucleus_depth

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.services.demo_cell import Scene
    from cellmap_tui.services.demo_noise import Axes, Floats

    Ids = npt.NDArray[np.uint8]
    ObjectIds = npt.NDArray[np.uint16]

ATOMS = {
    "resin": 0,
    "ecs": 1,
    "pm": 2,
    "mito_mem": 3,
    "mito_lum": 4,
    "ves_mem": 8,
    "ves_lum": 9,
    "endo_mem": 10,
    "endo_lum": 11,
    "lyso_mem": 12,
    "lyso_lum": 13,
    "ld_mem": 14,
    "ld_lum": 15,
    "er_mem": 16,
    "er_lum": 17,
    "ne_mem": 20,
    "ne_lum": 21,
    "np_out": 22,
    "np_in": 23,
    "hchrom": 24,
    "echrom": 26,
    "nucpl": 28,
    "nucleo": 29,
    "cyto": 35,
}
"""Classes that the synthetic cell consists of, with their ids in the challenge's class table; resin is background."""

MEMBRANE_NM = {"pm": 14.0, "mito": 14.0, "ves": 12.0, "er": 13.0, "ne": 15.0, "endo": 12.0, "lyso": 12.0, "ld": 10.0}
"""Thickness of the membranes; a stained bilayer and its fuzz, somewhat thicker than in life."""

SHEET_HALF_NM = 26.0
"""Half the thickness of a sheet of endoplasmic reticulum."""
_SHEET_PERIOD_NM = 148.0
_PORE_CHANNEL_NM = 26.0
_MATRIX_REACH_NM = 95.0


@dataclass(frozen=True, slots=True)
class Depths:
    """Signed distances (nm, positive inside) of one lattice, float32 [z, y, x] each."""

    cells: tuple[Floats, Floats]
    matrix: Floats
    """Depth in the zone of extracellular space around the cells."""
    nucleus: Floats
    er: Floats
    mitochondria: BodyDepths
    vesicles: BodyDepths
    others: BodyDepths
    pore_nm: Floats
    """Distance from the axis of the nearest pore, where one is near."""
    pore_index: npt.NDArray[np.int32]
    """Number of that pore from 1; 0 where none is near."""


def depths_on(scene: Scene, axes: Axes) -> Depths:
    """Measure a scene on the product of three axes."""
    import numpy as np

    places = Lattice(axes)
    cells = cell_depths(scene, places)
    nucleus = nucleus_depth(scene, places)
    wobble = 4 * places.value(scene.noise["wobble"])
    mitochondria = body_depths(scene.mitochondria, axes, wobble)
    vesicles = body_depths(scene.vesicles, axes, wobble / 2)
    others = body_depths(scene.others, axes, wobble)
    patch = places.value(scene.noise["patch"])
    phase = (nucleus + 62 * places.value(scene.noise["sheet"])) / _SHEET_PERIOD_NM
    sheet = SHEET_HALF_NM - _SHEET_PERIOD_NM * np.abs(phase - np.round(phase))
    limits = (
        150 * patch,
        np.maximum(*cells) - 46,
        -nucleus - 26,
        -mitochondria.depth_nm - 14,
        -vesicles.depth_nm - 12,
        -others.depth_nm - 12,
    )
    er = sheet
    for limit in limits:
        er = np.minimum(er, limit)
    in_reach = np.maximum(*cells) + _MATRIX_REACH_NM + 22 * patch
    matrix = np.minimum(in_reach, -scene.resin.depth_nm(*places.zyx))
    pore_nm, pore_index = _pores_on(scene, axes)
    return Depths(cells, matrix, nucleus, er, mitochondria, vesicles, others, pore_nm, pore_index)


def atoms_of(scene: Scene, axes: Axes, depths: Depths, voxel_size_nm: Vec3) -> Ids:
    """Return the finest class id of each voxel, uint8 [z, y, x].

    A membrane is drawn at least one voxel thick, as an annotator would.
    """
    import numpy as np

    thinnest = 1.05 * max(voxel_size_nm)
    wall = {name: max(thickness, thinnest) for name, thickness in MEMBRANE_NM.items()}
    cell = np.maximum(*depths.cells)
    ids = np.zeros(cell.shape, np.uint8)
    ids[depths.matrix > 0] = ATOMS["ecs"]
    ids[cell > 0] = ATOMS["pm"]
    ids[cell > wall["pm"]] = ATOMS["cyto"]
    ids[depths.er > 0] = ATOMS["er_mem"]
    ids[depths.er > wall["er"]] = ATOMS["er_lum"]
    _fill_bodies(ids, depths.mitochondria, ["mito"] * len(scene.mitochondria), wall)
    _fill_bodies(ids, depths.vesicles, ["ves"] * len(scene.vesicles), wall)
    _fill_bodies(ids, depths.others, [body.kind for body in scene.others], wall)
    _fill_nucleus(ids, scene, axes, depths, wall["ne"])
    return ids


def objects_of(scene: Scene, depths: Depths, atoms: Ids) -> dict[str, ObjectIds]:
    """Return the object ids per instance class, uint16 [z, y, x] each; 0 outside."""
    import numpy as np

    first, second = depths.cells
    in_cell = (atoms > ATOMS["ecs"]) * np.where(first >= second, 1, 2)
    in_nucleus = (atoms >= ATOMS["ne_mem"]) & (atoms <= ATOMS["nucleo"])
    in_pore = (atoms == ATOMS["np_out"]) | (atoms == ATOMS["np_in"])
    objects = {"cell": in_cell, "nuc": in_nucleus, "np": np.where(in_pore, depths.pore_index, 0)}
    groups = {"mito": depths.mitochondria, "ves": depths.vesicles}
    for kind, bodies in groups.items():
        objects[kind] = np.where(_is_of(atoms, kind), bodies.index, 0)
    for kind in ("endo", "lyso", "ld"):
        numbers = np.zeros(len(scene.others) + 1, np.uint16)
        members = [k for k, body in enumerate(scene.others, start=1) if body.kind == kind]
        numbers[members] = np.arange(1, len(members) + 1)
        objects[kind] = np.where(_is_of(atoms, kind), numbers[depths.others.index], 0)
    return {name: ids.astype(np.uint16) for name, ids in objects.items()}


def nucleolus_depth(scene: Scene, axes: Axes) -> Floats:
    """Return the depth below the surface of the nearest nucleolus, nm."""
    import numpy as np

    places = Lattice(axes)
    uneven = 14 * places.value(scene.noise["ruffle"])
    first, second = (nucleolus.depth_nm(*places.zyx) for nucleolus in scene.nucleoli)
    return np.maximum(first, second) + uneven


def _is_of(atoms: Ids, kind: str) -> npt.NDArray[np.bool_]:
    is_kind: npt.NDArray[np.bool_] = (atoms == ATOMS[f"{kind}_mem"]) | (atoms == ATOMS[f"{kind}_lum"])
    return is_kind


def _fill_bodies(ids: Ids, bodies: BodyDepths, kinds: list[str], wall: dict[str, float]) -> None:
    import numpy as np

    membranes = np.array([0, *(ATOMS[f"{kind}_mem"] for kind in kinds)], np.uint8)
    lumens = np.array([0, *(ATOMS[f"{kind}_lum"] for kind in kinds)], np.uint8)
    walls = np.array([0, *(wall[kind] for kind in kinds)], np.float32)
    inside = bodies.depth_nm > 0
    owners = bodies.index[inside]
    in_wall = bodies.depth_nm[inside] <= walls[owners]
    ids[inside] = np.where(in_wall, membranes[owners], lumens[owners])


def _fill_nucleus(ids: Ids, scene: Scene, axes: Axes, depths: Depths, wall_nm: float) -> None:
    import numpy as np

    depth = depths.nucleus
    inside = depth > 0
    if not inside.any():
        return
    ids[inside] = ATOMS["ne_mem"]
    ids[(depth > wall_nm) & (depth < ENVELOPE_NM - wall_nm)] = ATOMS["ne_lum"]
    core = depth > ENVELOPE_NM
    ids[core] = chromatin(scene, axes, depth)[core]
    in_pore = inside & (depth <= ENVELOPE_NM) & (depths.pore_index > 0)
    ids[in_pore] = np.where(depths.pore_nm[in_pore] < _PORE_CHANNEL_NM, ATOMS["np_in"], ATOMS["np_out"])


def chromatin(scene: Scene, axes: Axes, nucleus_depth_nm: Floats) -> Ids:
    """Return the class ids inside the envelope: dense and loose chromatin, nucleoplasm, nucleoli."""
    import numpy as np

    clumps = Lattice(axes).value(scene.noise["chromatin"])
    lining = 1.3 * np.exp(-(nucleus_depth_nm.clip(ENVELOPE_NM) - ENVELOPE_NM) / 45)
    density = clumps + lining
    ids: Ids = np.full(density.shape, ATOMS["nucpl"], np.uint8)
    ids[density > -0.35] = ATOMS["echrom"]
    ids[density > 0.75] = ATOMS["hchrom"]
    ids[nucleolus_depth(scene, axes) > 0] = ATOMS["nucleo"]
    return ids


def _pores_on(scene: Scene, axes: Axes) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Measure the distance to the axis of each pore, which points at the middle of the nucleus."""
    import numpy as np

    shape = tuple(len(axis) for axis in axes)
    distance = np.full(shape, FAR_NM + PORE_RADIUS_NM, np.float32)
    index = np.zeros(shape, np.int32)
    reach = PORE_RADIUS_NM + ENVELOPE_NM
    for number, centre in enumerate(scene.pores_nm, start=1):
        spans = [np.searchsorted(axis, [c - reach, c + reach]) for axis, c in zip(axes, centre, strict=True)]
        if any(start == stop for start, stop in spans):
            continue
        window = tuple(slice(int(start), int(stop)) for start, stop in spans)
        near = tuple(axis[part] for axis, part in zip(axes, window, strict=True))
        zyx = (near[0][:, None, None], near[1][None, :, None], near[2][None, None, :])
        normal = (centre - scene.nucleus.centre_nm) / np.array(scene.nucleus.radii_nm) ** 2
        normal = (normal / np.linalg.norm(normal)).astype(np.float32)
        offsets = [p - c for p, c in zip(zyx, centre, strict=True)]
        along = sum(o * n for o, n in zip(offsets, normal, strict=True))
        square = sum(o**2 for o in offsets) - along**2
        radial = np.sqrt(np.maximum(square, 0)).astype(np.float32)
        wins = (radial < PORE_RADIUS_NM) & (radial < distance[window])
        np.copyto(distance[window], radial, where=wins)
        np.copyto(index[window], number, where=wins)
    return distance, index
