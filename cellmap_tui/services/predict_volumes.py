"""The grids, the EM and the margins with which networks work on a volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.services.predict_networks import members_of
from cellmap_tui.text import voxel

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.learning.bank_em import CropEm
    from cellmap_tui.learning.ensemble import Member, Tiling
    from cellmap_tui.learning.predictor import Predictor
    from cellmap_tui.services.predict_ensemble import Ensemble
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.predict_networks import Network
    from cellmap_tui.services.predict_places import Place
    from cellmap_tui.services.predict_remote import RemoteEm


@dataclass(slots=True, eq=False)
class Worker:
    """One network at work on one volume."""

    network: Network
    """The network."""
    member: Member
    """What is taken of it."""
    em: CropEm
    """The EM at its voxel size."""
    grid: Grid
    """Its grid over the volume."""
    margin: Shape3
    """How far its tiles reach beyond the volume."""

    def predictor(self, device: Any, batch_size: int, tiling: Tiling) -> Predictor:
        """Return what predicts on a device."""
        from cellmap_tui.learning.ensemble import predictor_of

        module = self.network.on(device)
        return predictor_of(self.member, self.network.card, module, device, batch_size, tiling, self.margin)


def target_grid(request: PredictRequest, networks: list[Network], place: Place) -> Grid:
    """Return the grid that is written of a place."""
    from cellmap_tui.learning.ensemble import covering_grid

    finest: Vec3 = min((network.card.voxel_size_nm for network in networks), key=math.prod)
    own = place.grid.voxel_size_nm
    if request.voxel_size == "model":
        return covering_grid(place.grid, finest)
    if request.voxel_size == "crop":
        return place.grid
    if request.voxel_size == "auto":
        z, y, x = (max(a, b) for a, b in zip(finest, own, strict=True))
        return covering_grid(place.grid, (z, y, x))
    return covering_grid(place.grid, asked_size(request.voxel_size))


def asked_size(words: str) -> Vec3:
    """Return a voxel size that is given as ``8`` or ``8,8,8``.

    Raises
    ------
    RequestError
        If it is none.
    """
    parts = words.replace(" ", ",").split(",")
    try:
        numbers = [float(part) for part in parts if part]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(math.isfinite(n) and n > 0 for n in numbers):
        raise RequestError(f"the voxel size {words!r}", "model, crop, auto, or nm as 8 or 8,8,8")
    z, y, x = numbers * (3 // len(numbers))
    return (z, y, x)


def workers_of(
    request: PredictRequest,
    networks: list[Network],
    ensemble: Ensemble,
    place: Place,
    columns: tuple[str, ...],
    margin: float,
    remote: RemoteEm | None,
) -> list[Worker]:
    """Return the networks at work on a place.

    Parameters
    ----------
    columns
        What is predicted.
    margin
        How far tiles reach beyond the volume, as a share of a tile.

    Raises
    ------
    MissingDataError
        If the EM that is needed is not on disk; says what brings it.
    DataError
        If it is broken.
    """
    from cellmap_tui.learning.ensemble import covering_grid

    found = []
    for network, member in zip(networks, members_of(ensemble, networks, columns), strict=True):
        if member is not None:
            grid = covering_grid(place.grid, network.card.voxel_size_nm)
            em = _em(request, place, grid, remote)
            reach = _margin(network, em, grid, margin, is_remote=remote is not None)
            found.append(Worker(network, member, em, grid, reach))
    return found


def _em(request: PredictRequest, place: Place, grid: Grid, remote: RemoteEm | None) -> CropEm:
    from cellmap_tui.learning.bank_em import open_em

    if remote is not None and place.em.is_relative_to(remote.root):
        from cellmap_tui.services.predict_remote import open_remote_em

        return open_remote_em(remote, place.em, grid)
    fetch = f"fetch-data --crops {place.ref}"
    try:
        em = open_em(place.em, grid)
    except MissingDataError as error:
        brings = f"`{fetch}` brings it, or " if place.is_crop else ""
        raise MissingDataError(
            f"{place.ref}: {error.message}", f"{brings}--remote reads it from the bucket"
        ) from None
    except DataError as error:
        if not place.is_crop:
            raise
        raise DataError(
            f"{place.ref}: {error.message}", f"`verify --crops {place.ref} --repair` brings what is missing or broken"
        ) from None
    if em.lacks_nm is not None and not request.coarse_em:
        brings = f"`{fetch} --fetch-all-em-resolutions` brings it; " if place.is_crop else ""
        raise MissingDataError(
            f"{place.ref}: the EM at {voxel(em.lacks_nm)} nm, which {voxel(grid.voxel_size_nm)} nm needs, is not on "
            f"disk; there is {voxel(em.choice.level.grid.voxel_size_nm)} nm",
            f"{brings}--coarse-em enlarges what is there",
        )
    return em


def _margin(network: Network, em: CropEm, grid: Grid, share: float, *, is_remote: bool) -> Shape3:
    """Return how far tiles reach beyond the volume along each axis: not at all where there is no EM."""
    from cellmap_tui.learning.bank_em import chunks_there
    from cellmap_tui.volumes.geometry import sub_grid, whole

    voxels = int(max(network.card.patch) * share)
    margin = [0, 0, 0]
    for axis in range(3):
        wide = [0, 0, 0]
        wide[axis] = voxels
        box = whole(grid).padded((wide[0], wide[1], wide[2]))
        around = sub_grid(grid, box)
        level = em.choice.level
        inside = _is_inside(around, level.grid)
        margin[axis] = voxels if inside and (is_remote or bool(chunks_there(level, around).all())) else 0
    return (margin[0], margin[1], margin[2])


def _is_inside(inner: Grid, outer: Grid) -> bool:
    edge = 1e-6 * min(inner.voxel_size_nm)
    lower = all(a >= b - edge for a, b in zip(inner.lower_nm, outer.lower_nm, strict=True))
    return lower and all(a <= b + edge for a, b in zip(inner.upper_nm, outer.upper_nm, strict=True))
