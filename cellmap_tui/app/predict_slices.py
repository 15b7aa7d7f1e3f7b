"""From a row of the predict screen to slices with what was predicted over them; called in a thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.settings import Settings


def slices_of(settings: Settings, ref: str, named: Mapping[str, str]) -> CropSlices:
    """Return the slices of a crop, or of a box, with what was made of it.

    Parameters
    ----------
    settings
        Where the data lie.
    ref
        Dataset and crop.
    named
        Folder or template of ``predictions`` and of ``processed`` labels, where they are not in the data root.

    Raises
    ------
    MissingDataError
        If the EM is not on this disk.
    """
    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.services.predicted_folder import PredictedFolder, default_places, has_predictions

    data_root = settings.data_root.absolute()
    catalog = open_catalog(CatalogSource(data_root=data_root, state_dir=settings.state_dir))
    crop = next((crop for crop in catalog.crops if crop.ref == ref), None) or _box(ref, named)
    _check_em(data_root, crop, catalog)
    places = {**default_places(data_root), **named}
    predicted = {
        name: PredictedFolder(place, crop, data_root)
        for name, place in places.items()
        if has_predictions(place, crop)
    }
    return CropSlices(data_root, crop, catalog, predicted, ":".join(places.values()))


def _check_em(data_root: Path, crop: Crop, catalog: Catalog) -> None:
    from cellmap_tui.challenge.layout import crop_em_path

    if not (data_root / crop_em_path(crop)).is_dir():
        raise MissingDataError(
            f"the EM of {crop.ref} is not on this disk, so there is nothing to draw over",
            "mark the crop in 1 and press f there to fetch it" if crop in catalog.crops else "fetch its dataset's EM",
        )


def _box(ref: str, named: Mapping[str, str]) -> Crop:
    """Return a box of an EM volume as a crop: its grid is that of what was predicted."""
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.volumes.ngff import open_volume

    dataset = ref.rpartition("/")[0]
    found = Path(named.get("predictions", ""))
    names = sorted(path.name for path in found.iterdir() if not path.name.startswith(".")) if found.is_dir() else []
    if not names:
        raise MissingDataError(f"nothing is predicted in {found} yet", "wait until its first block is whole")
    grid = open_volume(found / names[0]).finest.grid
    return Crop(0, dataset, "test", grid, tuple(names))
