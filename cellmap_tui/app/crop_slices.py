"""The slices of a crop on disk, as a slice view wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cellmap_tui.app.widgets.slice_state import Drawing, LegendEntry, Letter, SliceSpec
from cellmap_tui.challenge.layout import local_classes
from cellmap_tui.services.slices import SliceLook, SliceSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.crop_labels import LegendEntry as VolumeLegend

_AXES: tuple[Literal["z"], Literal["y"], Literal["x"]] = ("z", "y", "x")


class CropSlices:
    """One crop for a `SliceView`; what was read stays open for the next slice.

    Parameters
    ----------
    data_root
        Folder of the data.
    crop
        A crop of which at least the EM is there.
    catalog
        Where the class table is looked up.
    """

    def __init__(self, data_root: Path, crop: Crop, catalog: Catalog) -> None:
        self.crop = crop
        self.key = f"{data_root}:{crop.ref}"
        present = local_classes(data_root, crop)
        self.classes = tuple(name for name in crop.classes if name in present)
        self._source = SliceSource(data_root, crop, catalog.classes)

    @property
    def grid(self) -> Grid:
        """Voxel size, translation and shape of the crop."""
        return self.crop.grid

    def draw(self, spec: SliceSpec, is_stale: Callable[[], bool] = lambda: False) -> Drawing:
        """Draw a slice; called in a thread."""
        image = self._source.draw(
            SliceLook(
                axis=_AXES[spec.axis],
                voxel=spec.point,
                width_px=spec.width,
                height_px=spec.height,
                voxels_per_pixel=spec.voxels_per_pixel,
                classes=(spec.only_class,) if spec.only_class else (),
                overlay=spec.overlay,
                with_marks=spec.with_letters,
            ),
            is_stale,
        )
        letters = class_letters(entry.name for entry in image.legend)
        return Drawing(
            rgb=image.rgb,
            legend=tuple(
                LegendEntry(entry.name, entry.colour, letters[entry.name], entry.state, _value(entry))
                for entry in image.legend
            ),
            letters=tuple(Letter(mark.row, mark.column, letters[mark.name]) for mark in image.marks),
            top_left=image.top_left_voxel,
            voxels_per_pixel=image.voxels_per_pixel,
            level=image.em_level,
            notes=image.notes,
            unknown_share=image.unknown_share,
        )


def _value(entry: VolumeLegend) -> int | None:
    """Return the value at the point; the class's own id, as the array of all ids has it, is no object's."""
    return 1 if entry.value_at_voxel and entry.value_at_voxel == entry.class_id else entry.value_at_voxel


def class_letters(names: Iterable[str]) -> dict[str, str]:
    """Return a letter for each class: one of its own where there is one left, else its first."""
    letters: dict[str, str] = {}
    for name in names:
        free = (letter for letter in name + name.upper() if letter.isalpha() and letter not in letters.values())
        letters[name] = next(free, name[:1])
    return letters
