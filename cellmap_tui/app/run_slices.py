"""From a run to slices of its crops, with what the run predicted or was given as predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.app.evaluations import EVALUATE, asked_of, request_of
from cellmap_tui.errors import CellmapError, MissingDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.volumes.planes import Predicted

_WRITES = {"predict": "predictions", "process": "processed", "map-labels": "predictions"}
"""Commands whose output can be drawn over a crop, and as what."""
_READS = {"pack-results": "processed", "process": "predictions"}
"""Commands whose input can be."""


@dataclass(frozen=True, slots=True)
class RunCrops:
    """The crops of a run that are on this disk."""

    data_root: Path
    """Folder of the data."""
    catalog: Catalog
    """Where they are known from."""
    crops: tuple[Crop, ...]
    """The crops, at least one."""
    predicted: Callable[[Crop], dict[str, Predicted] | None] = field(repr=False, compare=False)
    """What was predicted in a crop; None: what lies in the usual folders."""

    def slices_of(self, crop: Crop, run_id: str) -> CropSlices:
        """Return the slices of a crop."""
        from cellmap_tui.app.crop_slices import CropSlices

        return CropSlices(self.data_root, crop, self.catalog, self.predicted(crop), run_id)


def crops_of_run(settings: Settings, run: RunSummary) -> RunCrops:
    """Return the crops that a run is about, as far as they can be looked at; called in a thread.

    Raises
    ------
    MissingDataError
        If none of them is on this disk.
    CellmapError
        If the request cannot be read.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    asked = asked_of(run.path)
    base = _working_dir(run)
    data_root = _data_root(run.command, asked, base, settings)
    catalog = open_catalog(CatalogSource(data_root=data_root, state_dir=settings.state_dir))
    crops = tuple(crop for crop in _named(catalog, run.command, asked) if catalog.is_local(crop))
    if not crops:
        raise MissingDataError(
            f"no crop of this {run.command} run is below {data_root}", "1 shows the crops that are on this disk"
        )
    if run.command == EVALUATE:
        return RunCrops(data_root, catalog, crops, _evaluated(run))
    return RunCrops(data_root, catalog, crops, _from_folders(run.command, asked, base, data_root))


def _working_dir(run: RunSummary) -> Path:
    from cellmap_tui.jobs.rundir import RunDir, read_request

    try:
        return Path(read_request(RunDir(run.path)).working_dir or "")
    except CellmapError:
        return Path()


def _data_root(command: str, asked: dict[str, Any], base: Path, settings: Settings) -> Path:
    if command == "demo" and asked.get("root"):
        return base / str(asked["root"]) / "data"
    return base / str(asked["data_root"]) if asked.get("data_root") else settings.data_root


def _named(catalog: Catalog, command: str, asked: dict[str, Any]) -> tuple[Crop, ...]:
    if command == "import":
        return catalog.select(f"{asked.get('dataset')}/{asked.get('crop', 1)}")
    named = asked.get("crops")
    expression = ",".join(map(str, named)) if isinstance(named, list) else str(named or "")
    if command == "pack-results" or (not expression and asked.get("submission")):
        expression = "test"
    return catalog.select(expression) if expression else catalog.crops


def _evaluated(run: RunSummary) -> Callable[[Crop], dict[str, Predicted] | None]:
    from cellmap_tui.services.predicted_planes import EvaluatedCrop, PredictedPlanes

    planes = PredictedPlanes(request_of(run.path))

    def predicted(crop: Crop) -> dict[str, Predicted]:
        evaluated = EvaluatedCrop(planes, crop.name)
        return {"predictions": evaluated, "gt": evaluated} if crop.split == "test" else {"predictions": evaluated}

    return predicted


def _from_folders(
    command: str, asked: dict[str, Any], base: Path, data_root: Path
) -> Callable[[Crop], dict[str, Predicted] | None]:
    from cellmap_tui.services.predicted_folder import PredictedFolder, default_places, has_predictions

    places = default_places(data_root)
    for kinds, fields in ((_READS, ("input", "predictions")), (_WRITES, ("output", "output_path"))):
        named = next((str(asked[name]) for name in fields if asked.get(name)), "")
        if command in kinds and named:
            places[kinds[command]] = str(base / named)

    def predicted(crop: Crop) -> dict[str, Predicted] | None:
        return {
            kind: PredictedFolder(place, crop, data_root)
            for kind, place in places.items()
            if has_predictions(place, crop)
        }

    return predicted
