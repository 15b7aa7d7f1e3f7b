"""A slice of a crop as a picture: EM under labels and predictions, at the size and zoom that a viewer asks for.

`draw_slice` makes one; a `SliceSource` keeps volumes open and chunks decoded for the next one, so
that stepping through a crop costs a few milliseconds. A source may be used from a thread; when a
newer wish has come, `is_stale` ends the drawing of the old one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.errors import RequestError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.volumes.crop_labels import Labels, LegendEntry, Mark
    from cellmap_tui.volumes.planes import Predicted

RGB = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""
Axis = Literal["z", "y", "x"]
Overlay = Literal["tint", "outline", "off"]
Kind = Literal["gt", "predictions", "processed", "error"]
KINDS: tuple[Kind, ...] = ("gt", "predictions", "processed", "error")
"""What can be drawn: ground truth, predictions, processed predictions, and where they are wrong."""

KEPT_BYTES = 64 * 2**20
"""Pictures that are kept for stepping back, and those that were drawn ahead."""
MAX_PIXELS = 4096
"""Largest picture, on each side."""


@dataclass(frozen=True, slots=True)
class SliceLook:
    """Where a slice lies and how it is drawn; all voxels are those of the crop's grid."""

    axis: Axis = "z"
    """Axis across the slice."""
    voxel: Shape3 | None = None
    """Voxel that is looked at; its part on the axis is the slice. None: the middle of the crop."""
    width_px: int = 160
    """Largest width; the picture is narrower where the crop is."""
    height_px: int = 160
    """Largest height."""
    voxels_per_pixel: float | None = None
    """Edge of a pixel in the smallest voxel edge of the plane; None: the whole crop fits."""
    margin_voxels: int = 0
    """EM shown around the crop."""
    classes: tuple[str, ...] = ()
    """Classes that are drawn; none named: all that are there. ``all`` is the array of all ids."""
    overlay: Overlay = "tint"
    """How labels are drawn."""
    kinds: tuple[Kind, ...] = ("gt",)
    """What is drawn; over the truth, predictions are bright outlines."""
    opacity: float = 0.4
    """Share of a label's colour in a tinted pixel, 0 to 1."""
    threshold: float | None = None
    """Predicted values from here on are foreground; None: all that are not 0, and probabilities from one half on."""
    colours: tuple[tuple[str, RGB], ...] = ()
    """Colours of classes in place of the fixed ones."""
    with_marks: bool = False
    """Also find the centre of each object, for terminals without colours."""


@dataclass(frozen=True, slots=True)
class SliceRequest:
    """One picture of a crop on disk."""

    data_root: Path
    """Folder of the data."""
    crop: str
    """The crop, such as ``234`` or ``jrc_cos7-1a/crop234``."""
    look: SliceLook = field(default_factory=SliceLook)
    """Where the slice lies and how it is drawn."""
    predictions: str | None = None
    """Folder, template, zip or stack of predictions; None: ``predictions`` below the data root."""
    processed: str | None = None
    """The same of processed predictions; None: ``processed`` below the data root."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceImage:
    """A drawn slice."""

    rgb: NDArray[np.uint8]
    """Picture ``[height, width, 3]``; pixels are square in nm. Shared: do not write into it."""
    axis: Axis
    """Axis across the slice."""
    index: int
    """The slice, in crop voxels."""
    count: int
    """Slices of the crop on this axis."""
    voxel: Shape3
    """Voxel that is looked at."""
    position_nm: Vec3
    """World position of that voxel's centre."""
    nm_per_pixel: float
    """Edge of a pixel."""
    top_left_voxel: tuple[float, float]
    """Upper left corner in the plane (down, across), in crop voxels; voxel i reaches from i to i + 1."""
    voxels_per_pixel: tuple[float, float]
    """Crop voxels that a pixel is long, down and across."""
    em_level: str
    """The EM level that was read and what was done with it, in words."""
    legend: tuple[LegendEntry, ...]
    """The classes asked for, or found."""
    marks: tuple[Mark, ...]
    """Centres of objects, where asked for."""
    unknown_share: float
    """Share of the pixels that are hatched."""
    notes: tuple[str, ...]
    """Remarks, such as a class that cannot be read."""
    facts: tuple[str, ...] = ()
    """What was measured on the way, such as the Dice of an error overlay in this picture."""


def draw_slice(request: SliceRequest) -> SliceImage:
    """Draw one slice of a crop.

    Raises
    ------
    UnknownNameError
        If there is no such crop or class.
    RequestError
        If the voxel, size or zoom is out of range.
    MissingDataError
        If the EM, or the labels of a class asked for by name, are not on disk.
    DataError
        If they are broken.
    """
    from cellmap_tui.challenge.catalog import load_catalog

    catalog = load_catalog(data_root=request.data_root)
    crop = catalog.find(request.crop)
    named = {"predictions": request.predictions, "processed": request.processed}
    predicted = find_predicted(request.data_root, crop, request.look, named)
    return SliceSource(request.data_root, crop, catalog.classes, predicted).draw(request.look)


def find_predicted(
    data_root: Path, crop: Crop, look: SliceLook, named: Mapping[str, str | None]
) -> dict[str, Predicted]:
    """Return the predictions that a look needs, by kind.

    Parameters
    ----------
    data_root, crop, look
        What is drawn.
    named
        Kind to where its predictions lie; None or not in it: below the data root.

    Raises
    ------
    MissingDataError
        If a kind that was asked for is nowhere; the error overlay needs either.
    """
    from cellmap_tui.services.predicted_folder import default_places, has_predictions, open_predictions

    places = {**default_places(data_root), **{kind: place for kind, place in named.items() if place}}
    wanted = [kind for kind in look.kinds if kind in places]
    if "error" in look.kinds and not wanted:
        wanted = [kind for kind in ("processed", "predictions") if named.get(kind)]
        wanted = wanted or [kind for kind in ("processed", "predictions") if has_predictions(places[kind], crop)]
        wanted = wanted[:1] or ["predictions"]
    return {kind: open_predictions(places[kind], crop, data_root, classes=look.classes) for kind in wanted}


class SliceSource:
    """The slices of one crop, with what was read kept for the next one.

    Parameters
    ----------
    data_root
        Folder of the data.
    crop
        The crop.
    classes
        The class table; None: the built-in one.
    predicted
        What was predicted here, by kind: ``predictions``, ``processed``; ``gt`` where the truth is not in the
        data root.
    """

    def __init__(
        self,
        data_root: Path,
        crop: Crop,
        classes: ClassTable | None = None,
        predicted: Mapping[str, Predicted] | None = None,
    ) -> None:
        self.data_root = data_root
        self.crop = crop
        self.predicted = dict(predicted or {})
        self._classes = classes
        self._labels: Labels | None = None
        self._pictures: OrderedDict[SliceLook, SliceImage] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def draw(self, look: SliceLook, is_stale: Callable[[], bool] = lambda: False) -> SliceImage:
        """Draw a slice.

        Parameters
        ----------
        look
            Where it lies and how it is drawn.
        is_stale
            Asked between reads; True ends the drawing, because nobody wants the picture any more.

        Raises
        ------
        Stopped
            If `is_stale` said so.
        RequestError, MissingDataError, DataError
            As `draw_slice`.
        """
        with self._lock:
            if is_stale():
                raise Stopped("a newer slice was asked for")
            if look in self._pictures:
                self._pictures.move_to_end(look)
                return self._pictures[look]
            picture = self._draw(look, is_stale)
            self._pictures[look] = picture
            self._kept_bytes += picture.rgb.nbytes
            while self._kept_bytes > KEPT_BYTES and len(self._pictures) > 1:
                self._kept_bytes -= self._pictures.popitem(last=False)[1].rgb.nbytes
            return picture

    def _draw(self, look: SliceLook, is_stale: Callable[[], bool]) -> SliceImage:
        # numpy and zarr cost 0.3 s at the first slice; no screen needs them before that
        from cellmap_tui.volumes.crop_em import read_em
        from cellmap_tui.volumes.crop_labels import LabelChoice, Labels
        from cellmap_tui.volumes.geometry import to_world
        from cellmap_tui.volumes.pixels import pixels_for
        from cellmap_tui.volumes.slice_layers import read_layers
        from cellmap_tui.volumes.slices import render_slice

        voxel = _checked(look, self.crop)
        axis = "zyx".index(look.axis)
        pixels = pixels_for(
            self.crop.grid,
            axis,
            voxel,
            height_px=look.height_px,
            width_px=look.width_px,
            voxels_per_pixel=look.voxels_per_pixel,
            margin_voxels=look.margin_voxels,
        )
        if self._labels is None:
            self._labels = Labels(self.data_root, self.crop, self._classes)
        wanted = LabelChoice(look.classes, dict(look.colours), with_marks=look.with_marks)
        em = read_em(self.data_root, self.crop, pixels, self._labels.cache)
        drawn = read_layers(
            look.kinds, self._labels, wanted, self.predicted, pixels, voxel, is_stale, threshold=look.threshold
        )
        rgb = render_slice(
            em.grey,
            drawn.layers,
            overlay=look.overlay,
            unknown=drawn.unknown,
            em_valid=em.valid,
            window=em.window,
            opacity=look.opacity,
        )
        rgb.flags.writeable = False
        return SliceImage(
            rgb=rgb,
            axis=look.axis,
            index=voxel[axis],
            count=self.crop.grid.shape[axis],
            voxel=voxel,
            position_nm=to_world(self.crop.grid, voxel),
            nm_per_pixel=pixels.nm_per_pixel,
            top_left_voxel=pixels.top_left_voxel,
            voxels_per_pixel=pixels.voxels_per_pixel,
            em_level=em.level,
            legend=drawn.legend,
            marks=drawn.marks,
            unknown_share=float(drawn.unknown.mean()),
            notes=(*em.notes, *drawn.notes),
            facts=drawn.facts,
        )


def _checked(look: SliceLook, crop: Crop) -> Shape3:
    """Return the voxel that is looked at, after checking every number of the wish."""
    z, y, x = crop.grid.shape
    voxel = look.voxel or (z // 2, y // 2, x // 2)
    if not all(0 <= i < n for i, n in zip(voxel, crop.grid.shape, strict=True)):
        raise RequestError(f"voxel {voxel} is outside {crop.ref}", f"its shape is {crop.grid.shape} voxels")
    if look.axis not in ("z", "y", "x"):
        raise RequestError(f"axis {look.axis!r} does not exist", "use z, y or x")
    if not all(1 <= n <= MAX_PIXELS for n in (look.width_px, look.height_px)):
        raise RequestError(f"{look.width_px}×{look.height_px} pixels: must be 1 to {MAX_PIXELS}")
    if look.voxels_per_pixel is not None and not 0.01 <= look.voxels_per_pixel <= 10_000:
        raise RequestError(f"{look.voxels_per_pixel} voxels a pixel: must be 0.01 to 10 000")
    if not 0 <= look.opacity <= 1:
        raise RequestError(f"an opacity of {look.opacity}: must be 0 to 1")
    unknown = [kind for kind in look.kinds if kind not in KINDS]
    if unknown:
        raise RequestError(f"kind {unknown[0]!r} does not exist", f"use {', '.join(KINDS)}")
    if not 0 <= look.margin_voxels <= 100_000:
        raise RequestError(f"a margin of {look.margin_voxels} voxels: must be 0 to 100 000")
    return voxel
