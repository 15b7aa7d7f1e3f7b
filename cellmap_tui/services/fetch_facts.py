"""What the bucket says about a dataset: its EM pyramid, and the metadata of the groups above."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_em_path, groundtruth_path, store_path
from cellmap_tui.services.fetch_em import broken, em_levels, level_places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_levels import EmLevel, LevelPlace
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.storage.bucket import Folder
    from cellmap_tui.storage.objects import RemoteObject

_OF_GROUPS = (".zgroup", ".zattrs")


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """Metadata objects of some groups."""

    objects: tuple[RemoteObject, ...]
    """Those that the bucket has."""
    to_make: tuple[str, ...]
    """Keys of the ``.zgroup`` that it lacks, to be made here."""


@dataclass(frozen=True, slots=True)
class EmFacts:
    """The EM pyramid of a dataset."""

    group: str
    """Key of its multiscale group."""
    places: tuple[LevelPlace, ...]
    """Every level that the group names, the finest first."""
    levels: dict[str, EmLevel]
    """The levels whose arrays exist, by name."""
    metadata: tuple[RemoteObject, ...]
    """Metadata objects of the levels."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Levels that the group names and the bucket has no array of."""
        return tuple(place.name for place in self.places if place.name not in self.levels)

    def prefix(self, name: str) -> str:
        """Return the folder of a level in the bucket, with its last slash."""
        return f"{self.group}/{name}/"


async def read_em(reader: BucketReader, group: str) -> EmFacts:
    """Read the pyramid of an EM group.

    Raises
    ------
    DataError
        If the bucket has no such group, or its metadata are wrong; names the object.
    """
    attributes = await reader.body(f"{group}/.zattrs")
    if attributes is None:
        raise broken(group, "the bucket has no .zattrs there")
    places = level_places(group, attributes.content)
    arrays, notes = await asyncio.gather(
        asyncio.gather(*(reader.body(f"{group}/{place.name}/.zarray") for place in places)),
        asyncio.gather(*(reader.body(f"{group}/{place.name}/.zattrs") for place in places)),
    )
    contents = {
        place.name: None if body is None else body.content for place, body in zip(places, arrays, strict=True)
    }
    levels = {level.name: level for level in em_levels(group, places, contents)}
    if not levels:
        raise broken(group, "the bucket has no .zarray of any level")
    objects = tuple(body.remote for body in (*arrays, *notes) if body is not None)
    return EmFacts(group, places, levels, objects)


def groups_above(crop: Crop, *, with_labels: bool) -> tuple[str, ...]:
    """Return the keys of the groups that lead to a crop's EM and labels, from the store down."""
    em = crop_em_path(crop)
    truth = groundtruth_path(crop.dataset, crop.alignment)
    store = store_path(crop.dataset)
    chains = (em, truth) if with_labels else (em,)
    found = [folder for end in chains for folder in (end, *end.parents) if folder.is_relative_to(store)]
    return tuple(sorted({str(folder) for folder in found}))


async def read_groups(reader: BucketReader, groups: Iterable[str]) -> GroupMetadata:
    """Return the metadata objects directly in some groups, and which of them lack a ``.zgroup``."""
    names = tuple(groups)
    folders = await asyncio.gather(*(reader.folder(f"{name}/") for name in names))
    objects = [remote for folder in folders for remote in _metadata(folder)]
    have = {remote.key for remote in objects}
    return GroupMetadata(tuple(objects), tuple(f"{name}/.zgroup" for name in names if f"{name}/.zgroup" not in have))


def _metadata(folder: Folder) -> list[RemoteObject]:
    return [remote for remote in folder.objects if remote.key.rpartition("/")[2] in _OF_GROUPS]


def label_groups(crop_prefix: str, objects: Iterable[RemoteObject]) -> dict[str, LabelGroup]:
    """Return the label groups of a crop by class, from the listing of its objects.

    Parameters
    ----------
    crop_prefix
        Folder of the crop in the bucket, with its last slash.
    objects
        What was listed below it.
    """
    arrays: dict[str, bool] = {}
    with_group: set[str] = set()
    for remote in objects:
        class_name, slash, rest = remote.key[len(crop_prefix) :].partition("/")
        if not slash:
            continue
        last = rest.rpartition("/")[2]
        arrays[class_name] = arrays.get(class_name, False) or last not in {*_OF_GROUPS, ".zarray", ".zmetadata"}
        if rest == ".zgroup":
            with_group.add(class_name)
    return {name: LabelGroup(name, has_chunks, name in with_group) for name, has_chunks in sorted(arrays.items())}


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """A class folder of a crop in the bucket."""

    class_name: str
    """The class, or ``all``."""
    has_chunks: bool
    """Whether any chunk of any level exists; without one it is empty in the bucket."""
    has_zgroup: bool
    """Whether it says itself that it is a group."""
