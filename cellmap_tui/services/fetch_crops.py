"""Which crops a fetch is about: from the tables, or, for a bare list of crops, from the bucket itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import ALL_IDS, crop_path
from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import cut_middle, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.manifests import Manifests
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter

_UNKNOWN = Grid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 1, 1))
_NEEDS_NO_GEOMETRY = {"crop", "dataset", "split", "source", "local", "remote", "excluded"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The catalog to choose from, and which of its crops are names alone so far."""

    catalog: Catalog
    """The catalog."""
    bare: frozenset[str]
    """Crops whose classes and geometry are still to be read from the bucket."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing about the catalog."""
        return self.catalog.notes

    async def resolved(self, reader: BucketReader, expression: str) -> tuple[Crop, ...]:
        """Return the crops that an expression chooses, with classes and geometry.

        Raises
        ------
        RequestError
            If the expression means nothing or chooses nothing.
        DataError
            If the labels of a bare crop in the bucket are not what their format says.
        """
        from cellmap_tui.challenge.catalog import Catalog

        if not self.bare:
            return _published(self.catalog.select(expression))
        terms = [term for word in self.catalog.query(expression).words for term in word.terms]
        if all(term.key in _NEEDS_NO_GEOMETRY for term in terms):
            return await self._read(reader, _published(self.catalog.select(expression)))
        crops = await self._read(reader, self.catalog.crops)
        complete = Catalog(self.catalog.classes, crops, data_root=self.catalog.data_root)
        return _published(complete.select(expression))

    async def _read(self, reader: BucketReader, crops: Iterable[Crop]) -> tuple[Crop, ...]:
        async def one(crop: Crop) -> Crop:
            return await read_crop(reader, crop) if crop.ref in self.bare else crop

        return tuple(await asyncio.gather(*(one(crop) for crop in crops)))


def _published(crops: tuple[Crop, ...]) -> tuple[Crop, ...]:
    """Return the crops that a bucket can have; those imported here cannot.

    Raises
    ------
    RequestError
        If none is left.
    """
    found = tuple(crop for crop in crops if crop.source != "import")
    if not found:
        raise RequestError(f"{crops[0].ref} was imported here, so there is nothing to fetch", "choose other crops")
    return found


def choose_crops(request: FetchRequest, report: Reporter) -> Chosen:
    """Open the catalog that a fetch chooses from.

    Raises
    ------
    CellmapError
        If a manifest cannot be read or has a wrong field.
    RequestError
        If a class does not exist.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.services.published import manifests_from_environment

    by_variable, _ = manifests_from_environment()
    manifest = request.manifest or by_variable
    if manifest and not request.train_manifest:
        chosen = _from_list(request, manifest, report)
    else:
        source = CatalogSource(
            request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
        )
        chosen = Chosen(open_catalog(source, report), frozenset())
    _check_classes(request.classes, chosen.catalog)
    return chosen


def _from_list(request: FetchRequest, manifest: str, report: Reporter) -> Chosen:
    """Open a catalog whose training crops are a bare list."""
    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.manifests import Manifests, parse_places
    from cellmap_tui.services.catalog import read_manifests
    from cellmap_tui.services.manifest_source import read_manifest
    from cellmap_tui.services.published import TIMEOUT_S, manifests_from_environment

    _, test_by_variable = manifests_from_environment()
    places = parse_places(read_manifest(manifest, report))
    train = tuple(
        Crop(crop_id, dataset, "train", _UNKNOWN, (), alignment, em_name, "manifest")
        for (dataset, crop_id), (alignment, em_name) in sorted(places.items())
    )
    test_source = request.test_manifest or test_by_variable
    test: Manifests | None = None
    if test_source:
        test = read_manifests({"test_manifest": test_source}, report, TIMEOUT_S)
    given = Manifests(train, None if test is None else test.test)
    catalog = load_catalog(data_root=request.data_root, state_dir=request.state_dir, manifests=given)
    return Chosen(catalog, frozenset(crop.ref for crop in train))


def _check_classes(classes: Iterable[str], catalog: Catalog) -> None:
    known = catalog.vocabulary.other_classes
    for name in classes:
        if name != ALL_IDS and name not in known and name not in catalog.classes.names:
            near = nearest(name, [*catalog.classes.names, *known])
            shown = cut_middle(printable(name), 60)
            raise RequestError(f"'{shown}' is no class", f"did you mean {near!r}?" if near else "see: classes")


async def read_crop(reader: BucketReader, crop: Crop) -> Crop:
    """Return a crop with the classes and the geometry that its labels in the bucket have.

    Raises
    ------
    MissingDataError
        If the bucket has no labels of it.
    DataError
        If they are not what their format says; names the object.
    """
    from cellmap_tui.challenge.classes import builtin_classes
    from cellmap_tui.challenge.crop_table import main_grid

    prefix = f"{crop_path(crop)}/"
    here = await reader.folder(prefix)
    names = [folder.rstrip("/").rpartition("/")[2] for folder in here.folders]
    found = await asyncio.gather(*(_label_grid(reader, f"{prefix}{name}") for name in names))
    grids = {name: grid for name, grid in zip(names, found, strict=True) if grid is not None}
    if not grids:
        raise MissingDataError(f"the bucket has no labels of {crop.ref}", "check --bucket and the manifest")
    classes = tuple(sorted((name for name in grids if name != ALL_IDS), key=builtin_classes().order))
    grid = main_grid({name: grids[name] for name in classes} or grids)
    others = tuple((name, grids[name]) for name in classes if grids[name] != grid)
    return replace(crop, grid=grid, classes=classes, class_grids=others)


async def _label_grid(reader: BucketReader, group: str) -> Grid | None:
    from cellmap_tui.services.fetch_em import label_grid, level_places

    attributes = await reader.body(f"{group}/.zattrs")
    if attributes is None:
        return None
    finest = level_places(group, attributes.content)[0]
    array = await reader.body(f"{group}/{finest.name}/.zarray")
    if array is None:
        raise DataError(f"{group}: the bucket has no .zarray of {finest.name}", "the labels cannot be placed")
    return label_grid(group, attributes.content, array.content)
