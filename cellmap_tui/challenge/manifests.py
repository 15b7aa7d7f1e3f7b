"""The manifests that the challenge publishes as CSV, read with every field checked.

A manifest comes from a network or from somebody's hand, and its names become paths: nothing is taken
from it unseen. Where the bytes come from is the business of `services.catalog`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.crop_table import main_grid
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import DEFAULT_ALIGNMENT, DEFAULT_EM, checked_name
from cellmap_tui.challenge.manifest_rows import MAX_BYTES, REMEDY, ManifestFile, ManifestRow, manifest_rows
from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Source, Split

__all__ = ["MAX_BYTES", "ManifestFile", "Manifests", "parse_manifests", "parse_places", "parse_volumes"]

_CROP_COLUMNS = ("crop_number", "collection", "alignment", "crop_url", "em_url")
_VOLUME_COLUMNS = ("crop_name", "dataset", "class_label", "voxel_size", "translation", "shape")

Key = tuple[str, int]
"""Dataset and crop number."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """Crops given in place of the published ones."""

    train: tuple[Crop, ...] | None = None
    """Training crops; None: the published ones stay."""
    test: tuple[Crop, ...] | None = None
    """Test crops; None: the published ones stay."""
    notes: tuple[str, ...] = ()
    """What the user should know about them."""

    @property
    def crops(self) -> tuple[Crop, ...]:
        """All crops given."""
        return (*(self.train or ()), *(self.test or ()))

    def replaces(self, crop: Crop) -> bool:
        """Return whether a published crop gives way."""
        given = self.train if crop.split == "train" else self.test
        return crop.source == "challenge" and given is not None


def parse_manifests(
    *,
    manifest: ManifestFile | None = None,
    train_manifest: ManifestFile | None = None,
    test_manifest: ManifestFile | None = None,
    source: Source = "manifest",
) -> Manifests:
    """Read manifests in the published formats.

    Parameters
    ----------
    manifest
        Training crops: crop_number, collection, alignment, crop_url, em_url.
    train_manifest, test_manifest
        Label volumes: crop_name, dataset, class_label, voxel_size, translation, shape.
    source
        Source that the crops get.

    Raises
    ------
    DataError
        If a field is wrong; names file, line and column.
    RequestError
        If there is a `manifest` without `train_manifest`, so that no geometry is known.
    """
    if manifest is not None and train_manifest is None:
        raise RequestError(
            f"{manifest.name} lists crops without classes and geometry, and this command does not read the bucket",
            "give the annotations with --train-manifest",
        )
    train: tuple[Crop, ...] | None = None
    notes: tuple[str, ...] = ()
    if train_manifest is not None:
        train = parse_volumes(train_manifest, "train", source)
        if manifest is not None:
            train, notes = _restricted(train, train_manifest, manifest)
    test = None if test_manifest is None else parse_volumes(test_manifest, "test", source)
    _check_apart(train or (), test or (), test_manifest)
    return Manifests(train, test, notes)


def parse_volumes(file: ManifestFile, split: Split, source: Source = "manifest") -> tuple[Crop, ...]:
    """Read a manifest of label volumes, one row per crop and class, into crops.

    Raises
    ------
    DataError
        If a field is wrong or a row is repeated; names file, line and column.
    """
    grids: dict[Key, dict[str, Grid]] = {}
    for row in manifest_rows(file, _VOLUME_COLUMNS):
        key = (row.name("dataset"), row.crop_id("crop_name"))
        class_name = row.class_name("class_label")
        volumes = grids.setdefault(key, {})
        if class_name in volumes:
            raise row.error("class_label", f"stands twice for {key[0]}/crop{key[1]}")
        volumes[class_name] = Grid(
            row.lengths("voxel_size", positive=True), row.lengths("translation", positive=False), row.shape("shape")
        )
    return tuple(_crop(key, volumes, split, source) for key, volumes in sorted(grids.items()))


def _crop(key: Key, grids: dict[str, Grid], split: Split, source: Source) -> Crop:
    classes = tuple(sorted(grids, key=builtin_classes().order))
    grid = main_grid(grids)
    others = tuple((name, grids[name]) for name in classes if grids[name] != grid)
    return Crop(key[1], key[0], split, grid, classes, source=source, class_grids=others)


def _restricted(
    crops: tuple[Crop, ...], train_manifest: ManifestFile, manifest: ManifestFile
) -> tuple[tuple[Crop, ...], tuple[str, ...]]:
    """Return the crops that the list of crops names, with its alignment and EM."""
    places = parse_places(manifest)
    known = {(crop.dataset, crop.id): crop for crop in crops}
    for dataset, crop_id in places:
        if (dataset, crop_id) not in known:
            raise DataError(
                f"{manifest.name} names {dataset}/crop{crop_id}, which {train_manifest.name} does not describe",
                "give the --train-manifest that belongs to it",
            )
    placed = tuple(_placed(known[key], *place) for key, place in sorted(places.items()))
    unused = len(known) - len(placed)
    note = f"{train_manifest.name}: {count(unused)} crops are left out because {manifest.name} does not name them"
    return placed, (note,) if unused else ()


def _placed(crop: Crop, alignment: str, em_name: str) -> Crop:
    return Crop(
        crop.id,
        crop.dataset,
        crop.split,
        crop.grid,
        crop.classes,
        alignment,
        em_name,
        crop.source,
        crop.class_grids,
    )


def parse_places(file: ManifestFile) -> dict[Key, tuple[str, str]]:
    """Read a list of crops: dataset and number to alignment and EM name.

    Raises
    ------
    DataError
        If a field is wrong, a row is repeated, or an address does not lie as the challenge lays it out.
    """
    places: dict[Key, tuple[str, str]] = {}
    for row in manifest_rows(file, _CROP_COLUMNS):
        key = (row.name("collection"), row.crop_id("crop_number"))
        if key in places:
            raise row.error("crop_number", f"stands twice for {key[0]}")
        alignment = row.name("alignment") or DEFAULT_ALIGNMENT
        store = f"/{key[0]}/{key[0]}.zarr/{alignment}"
        em_name = row.values["em_url"].rstrip("/").rpartition("/")[2] or DEFAULT_EM
        _check_address(row, "crop_url", f"{store}/labels/groundtruth/crop{key[1]}")
        _check_address(row, "em_url", f"{store}/em/{em_name}")
        try:
            places[key] = (alignment, checked_name(em_name))
        except RequestError as error:
            raise row.error("em_url", "has an EM name that cannot be a folder name", error.remedy) from None
    return places


def _check_address(row: ManifestRow, column: str, tail: str) -> None:
    address = row.values[column].rstrip("/")
    if printable(address) != address or not address.endswith(tail) or "/../" in address:
        raise row.error(column, f"does not end with {tail}", "the address must follow the challenge's layout")


def _check_apart(train: tuple[Crop, ...], test: tuple[Crop, ...], file: ManifestFile | None) -> None:
    refs = {crop.ref for crop in train}
    for crop in test:
        if file is not None and crop.ref in refs:
            raise DataError(f"{file.name}: {crop.ref} is a training crop too", REMEDY)
