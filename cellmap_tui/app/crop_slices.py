"""The slices of a crop on disk, as a slice view wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cellmap_tui.app.widgets.slice_state import KIND_WORDS, Drawing, Kind, LegendEntry, Letter, SliceSpec
from cellmap_tui.challenge.layout import local_classes
from cellmap_tui.services.predicted_folder import PredictedFolder, default_places, has_predictions
from cellmap_tui.services.slices import SliceLook, SliceSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.crop_labels import LegendEntry as VolumeLegend
    from cellmap_tui.volumes.planes import Predicted

_AXES: tuple[Literal["z"], Literal["y"], Literal["x"]] = ("z", "y", "x")
PREDICTED: tuple[Kind, ...] = ("predictions", "processed")


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
    predicted
        What was predicted, by kind; None: what lies in the usual folders below the data root.
    key
        What tells these slices from others of the same crop.
    """

    def __init__(
        self,
        data_root: Path,
        crop: Crop,
        catalog: Catalog,
        predicted: Mapping[str, Predicted] | None = None,
        key: str = "",
    ) -> None:
        self.crop = crop
        self.data_root = data_root
        self.catalog = catalog
        self.key = f"{data_root}:{crop.ref}" + (f":{key}" if key else "")
        present = local_classes(data_root, crop)
        self._predicted = _found(data_root, crop) if predicted is None else dict(predicted)
        local = tuple(name for name in crop.classes if name in present)
        others = [name for source in self._predicted.values() for name in _known(source) if name not in local]
        self.classes = (*local, *dict.fromkeys(others))
        self.kinds = _kinds(bool(local), self._predicted)
        self._source = SliceSource(data_root, crop, catalog.classes, self._predicted)

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
                classes=spec.classes,
                overlay=spec.overlay,
                kinds=spec.kinds,
                opacity=spec.opacity,
                with_marks=spec.with_letters,
            ),
            is_stale,
        )
        letters = class_letters(entry.name for entry in image.legend)
        return Drawing(
            rgb=image.rgb,
            legend=tuple(_entry(entry, letters[entry.name]) for entry in image.legend),
            letters=tuple(Letter(mark.row, mark.column, letters[mark.name]) for mark in image.marks),
            top_left=image.top_left_voxel,
            voxels_per_pixel=image.voxels_per_pixel,
            level=image.em_level,
            notes=image.notes,
            facts=image.facts,
            unknown_share=image.unknown_share,
        )


def _found(data_root: Path, crop: Crop) -> dict[str, Predicted]:
    places = default_places(data_root)
    return {
        kind: PredictedFolder(place, crop, data_root)
        for kind, place in places.items()
        if has_predictions(place, crop)
    }


def _known(source: Predicted) -> tuple[str, ...]:
    """Return the classes of predictions, where knowing them costs nothing."""
    return source.classes if isinstance(source, PredictedFolder) else ()


def _kinds(has_truth: bool, predicted: Mapping[str, Predicted]) -> tuple[Kind, ...]:
    kinds: list[Kind] = [kind for kind in PREDICTED if kind in predicted]
    has_errors = bool(kinds) and (has_truth or any(not isinstance(p, PredictedFolder) for p in predicted.values()))
    return (*(["gt"] if has_truth or not kinds else []), *kinds, *(["error"] if has_errors else []))  # type: ignore[arg-type]


def _entry(entry: VolumeLegend, letter: str) -> LegendEntry:
    name = entry.name if entry.kind in {"gt", "error"} else f"{entry.name} {KIND_WORDS[entry.kind]}"
    return LegendEntry(name, entry.colour, letter, entry.state, _value(entry), entry.kind)


def _value(entry: VolumeLegend) -> int | None:
    """Return the value at the point; the class's own id, as the array of all ids has it, is no object's."""
    return 1 if entry.value_at_voxel and entry.value_at_voxel == entry.class_id else entry.value_at_voxel


def class_letters(names: Iterable[str]) -> dict[str, str]:
    """Return a letter for each class: one of its own where there is one left, else its first."""
    letters: dict[str, str] = {}
    for name in names:
        if name in letters:
            continue
        free = (letter for letter in name + name.upper() if letter.isalpha() and letter not in letters.values())
        letters[name] = next(free, name[:1])
    return letters
