"""Looking at the bucket for each crop: what it has of the labels and of the EM under the crop.

Several crops are looked at side by side, and what they share is asked once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_em_path, crop_path
from cellmap_tui.services.fetch_facts import EmFacts, GroupMetadata, groups_above, read_em, read_groups
from cellmap_tui.services.fetch_levels import (
    EmLevel,
    LevelChoice,
    Padding,
    choose_levels,
    indices,
    needed_voxels,
    touched_chunks,
    world_box,
)
from cellmap_tui.services.fetch_listing import Stretch, below, list_chunks, list_labels

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.objects import RemoteObject
    from cellmap_tui.volumes.geometry import Box

CROPS_AT_ONCE = 8
"""Crops looked at side by side; each holds its listing in memory until the plan has taken it."""


@dataclass(frozen=True, slots=True)
class LevelSurvey:
    """A level of the EM, and what a crop needs of it."""

    choice: LevelChoice
    """Whether it is fetched, and why."""
    level: EmLevel | None
    """The level; None where the bucket has no array of it."""
    voxels: Box
    """Voxels that the crop needs, padding included; empty where it is not fetched."""
    chunks: Box
    """Chunks that these touch."""
    remote: dict[Shape3, RemoteObject]
    """Those that the bucket has."""


@dataclass(frozen=True, slots=True)
class CropSurvey:
    """What the bucket has for one crop."""

    crop: Crop
    """The crop."""
    prefix: str
    """Folder of its labels in the bucket, with its last slash."""
    labels: tuple[RemoteObject, ...]
    """Objects of its label groups."""
    em: EmFacts
    """The EM of its dataset."""
    levels: tuple[LevelSurvey, ...]
    """What it needs of each level."""
    above: GroupMetadata
    """Metadata of the groups above, shared by the crops of its dataset."""


class Surveyor:
    """Looks at crops.

    Parameters
    ----------
    reader
        The bucket.
    request
        What is wanted of each crop.
    ledger
        A level of which it knows every chunk of a crop is not listed again; None: everything is listed.
    """

    def __init__(self, reader: BucketReader, request: FetchRequest, ledger: Ledger | None) -> None:
        self._reader = reader
        self._request = request
        self._ledger = ledger
        self._padding = Padding(request.raw_padding, request.raw_padding_nm)
        self._em: dict[str, asyncio.Task[EmFacts]] = {}
        self._above: dict[tuple[str, ...], asyncio.Task[GroupMetadata]] = {}
        self._levels: dict[str, asyncio.Task[list[RemoteObject]]] = {}

    async def survey(self, crops: Sequence[Crop]) -> AsyncGenerator[CropSurvey, None]:
        """Yield what the bucket has for each crop, in their order.

        Raises
        ------
        CellmapError
            If the bucket cannot be read, or the EM of a crop is not what its format says.
        """
        waiting = deque(crops)
        running: deque[asyncio.Task[CropSurvey]] = deque()
        try:
            while waiting or running:
                while waiting and len(running) < CROPS_AT_ONCE:
                    running.append(asyncio.create_task(self._look(waiting.popleft())))
                yield await running.popleft()
        finally:
            others = [*running, *self._em.values(), *self._above.values(), *self._levels.values()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _look(self, crop: Crop) -> CropSurvey:
        prefix = f"{crop_path(crop)}/"
        above, labels, (em, levels) = await asyncio.gather(
            self._groups(crop), self._labels(crop, prefix), self._em_of(crop)
        )
        return CropSurvey(crop, prefix, tuple(labels), em, levels, above)

    async def _labels(self, crop: Crop, prefix: str) -> list[RemoteObject]:
        if crop.split == "test":  # their truth is not published
            return []
        return await list_labels(self._reader, prefix, self._request.classes)

    async def _groups(self, crop: Crop) -> GroupMetadata:
        groups = groups_above(crop, with_labels=crop.split == "train")
        if groups not in self._above:
            self._above[groups] = asyncio.create_task(read_groups(self._reader, groups))
        return await asyncio.shield(self._above[groups])

    async def _em_of(self, crop: Crop) -> tuple[EmFacts, tuple[LevelSurvey, ...]]:
        group = str(crop_em_path(crop))
        if group not in self._em:
            self._em[group] = asyncio.create_task(read_em(self._reader, group))
        em = await asyncio.shield(self._em[group])
        box = world_box(crop)
        choices = choose_levels(
            em.places,
            box.voxel_size_nm,
            everything=self._request.fetch_all_em_resolutions,
            names=self._request.levels,
        )
        surveys = []
        for choice in choices:
            level = em.levels.get(choice.place.name)
            voxels = _nothing() if level is None or not choice.is_wanted else needed_voxels(level, box, self._padding)
            chunks = _nothing() if level is None else touched_chunks(level, voxels)
            surveys.append((choice, level, voxels, chunks))
        remote = await asyncio.gather(
            *(self._chunks(em.prefix(choice.place.name), level, chunks) for choice, level, _, chunks in surveys)
        )
        return em, tuple(LevelSurvey(*survey, chunks) for survey, chunks in zip(surveys, remote, strict=True))

    async def _chunks(self, prefix: str, level: EmLevel | None, chunks: Box) -> dict[Shape3, RemoteObject]:
        if level is None or chunks.is_empty:
            return {}
        known = self._known_chunks(prefix, level, chunks)
        return known if known is not None else await list_chunks(self._listed, prefix, level, chunks)

    def _known_chunks(self, prefix: str, level: EmLevel, chunks: Box) -> dict[Shape3, RemoteObject] | None:
        """Return the chunks from memory alone; None as soon as one is not known."""
        from cellmap_tui.storage.ledger import file_size
        from cellmap_tui.storage.objects import RemoteObject

        if self._ledger is None:
            return None
        root = f"{self._ledger.data_root}/"
        found: dict[Shape3, RemoteObject] = {}
        for index in indices(chunks):
            key = f"{prefix}{level.chunk_name(index)}"
            if self._ledger.is_verified(key):
                found[index] = RemoteObject(key, file_size(root + key) or 0, None)
            elif not self._ledger.is_absent(key):
                return None
        return found

    async def _listed(self, stretch: Stretch) -> list[RemoteObject]:
        """List a stretch; a whole small level is what every crop of the dataset asks for."""
        if stretch.begins != stretch.folder or not self._is_level(stretch.folder):
            return await below(self._reader, stretch)
        if stretch.folder not in self._levels:
            self._levels[stretch.folder] = asyncio.create_task(below(self._reader, stretch))
        return await asyncio.shield(self._levels[stretch.folder])

    def _is_level(self, folder: str) -> bool:
        group, _, _ = folder.rstrip("/").rpartition("/")
        return group in self._em


def _nothing() -> Box:
    from cellmap_tui.volumes.geometry import Box

    return Box((0, 0, 0), (0, 0, 0))
