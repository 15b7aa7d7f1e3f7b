"""What a predictor reads grey values from: a crop of a bank or an array in memory.

Tiles are given in voxels of the *output grid*: the network's voxel size, its first voxel's lower corner at
that of the crop. Beyond the EM there is grey 0, as in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RequestError
from cellmap_tui.learning.bank import BankCrop
from cellmap_tui.learning.em_reach import em_reach
from cellmap_tui.learning.gather import read_patch
from cellmap_tui.learning.symmetric import snapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.volumes.geometry import Box


class EmReader(Protocol):
    """Hands out grey values of tiles; asked by one thread at a time."""

    @property
    def shape(self) -> Shape3:
        """Voxels of the output grid."""

    def read(self, box: Box, axis: int | None, out: NDArray[np.uint8]) -> bool:
        """Read a tile.

        Parameters
        ----------
        box
            Its voxels on the output grid; may reach beyond it.
        axis
            The axis that a slice is cut across; None: the network sees all three.
        out
            Takes grey values uint8 ``[inputs, z, y, x]``.

        Returns
        -------
        bool
            Whether the tile is worth predicting; if not, its probabilities are 0.
        """


class CropReader:
    """Grey values and labels of a bank's crop on a network's grid.

    Parameters
    ----------
    crop
        A crop; its voxels may be of another size than the network's.
    card
        The network.
    only_known
        Whether tiles without a voxel that anything is known about are passed over.
    """

    def __init__(self, crop: BankCrop, card: ModelCard, *, only_known: bool = False) -> None:
        self.crop = crop
        self._voxel_nm = np.array(card.voxel_size_nm, np.float64)
        self._grid_nm = np.array(crop.grid.voxel_size_nm, np.float64)
        self._scales_nm = [part.voxel_size_nm for part in card.input_scales] or [card.voxel_size_nm]
        self._normal = normal_of(card)
        self._reach = em_reach(crop)
        self._only_known = only_known
        extent = np.array(crop.codes.shape) * self._grid_nm
        # A voxel that sticks out by less than half is one of the crop.
        z, y, x = (max(1, int(count)) for count in np.floor(extent / self._voxel_nm + 0.5))
        self._shape = (z, y, x)

    @property
    def shape(self) -> Shape3:
        """Voxels of the output grid."""
        return self._shape

    @property
    def grid(self) -> Grid:
        """The output grid in the world."""
        lower = np.array(self.crop.grid.lower_nm)
        z, y, x = (lower + self._voxel_nm / 2).tolist()
        sz, sy, sx = self._voxel_nm.tolist()
        return Grid((sz, sy, sx), (z, y, x), self._shape)

    def read(self, box: Box, axis: int | None, out: NDArray[np.uint8]) -> bool:
        """Read a tile; see `EmReader.read`."""
        if self._only_known and not self.codes(box).any():
            return False
        for channel, scale_nm in zip(out, self._scales_nm, strict=True):
            matrix, base = self._map(box, _turned(scale_nm, self._normal, axis))
            read_patch(self.crop, matrix, base, channel, None, None, reach=self._reach)
        return True

    def codes(self, box: Box) -> NDArray[Any]:
        """Return the label codes of a box of the output grid, of the crop's own book."""
        codes = np.zeros(box.shape, self.crop.codes.dtype)
        read_patch(self.crop, *self._map(box), None, codes, None, reach=self._reach)
        return codes

    def em(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the grey values of a box of the output grid, and which of them are EM."""
        grey, valid = np.zeros(box.shape, np.uint8), np.zeros(box.shape, np.bool_)
        read_patch(self.crop, *self._map(box), grey, None, valid, reach=self._reach)
        return grey, valid

    def _map(
        self, box: Box, scale_nm: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the map from an array over a tile to the crop's grid; both have the same middle."""
        half = (np.array(box.shape) - 1) / 2
        middle = (np.array(box.start) + half + 0.5) * self._voxel_nm / self._grid_nm - 0.5
        matrix = np.diag((self._voxel_nm if scale_nm is None else scale_nm) / self._grid_nm)
        exact, base = snapped(matrix[None], (middle - matrix @ half)[None])
        return exact[0], base[0]


def array_reader(em: NDArray[np.uint8], card: ModelCard, context: Shape3 = (0, 0, 0)) -> CropReader:
    """Return a reader of an array in memory whose voxels are the network's.

    Parameters
    ----------
    em
        Grey values uint8 ``[z, y, x]``: a volume with its context.
    card
        The network.
    context
        Voxels of `em` beyond the volume on both sides of each axis.

    Raises
    ------
    RequestError
        If nothing is left without the context, or the values are not of 8 bit.
    """
    z, y, x = (count - 2 * margin for count, margin in zip(em.shape, context, strict=True))
    if min(z, y, x) < 1 or em.dtype != np.uint8:
        raise RequestError(
            f"EM of {em.shape} voxels, {em.dtype}, with a context of {context}", "give uint8 with a volume inside"
        )
    grid = Grid(card.voxel_size_nm, (0.0, 0.0, 0.0), (z, y, x))
    nothing = np.zeros((0, 3), np.int64)
    codes = np.zeros((z, y, x), np.uint8)  # asked for its shape alone: memory that is never touched
    crop = BankCrop("array", "predict", grid, np.ascontiguousarray(em), codes, 0, context, None, nothing, ())
    return CropReader(crop, card)


def normal_of(card: ModelCard) -> int | None:
    """Return the axis along which a flat patch has one voxel; None in 3D."""
    if card.dimensions == 3:
        return None
    return next(axis for axis in range(3) if axis not in card.axes)


def _turned(scale_nm: Vec3, normal: int | None, axis: int | None) -> NDArray[np.float64]:
    """Return a patch's voxel size along the axes of the world, its normal laid along `axis`."""
    if normal is None or axis is None or axis == normal:
        return np.array(scale_nm, np.float64)
    rest = [size for place, size in enumerate(scale_nm) if place != normal]
    rest.insert(axis, scale_nm[normal])
    return np.array(rest, np.float64)
