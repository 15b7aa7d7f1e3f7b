"""Crops of a bucket: which labels it really has, and which of them hold nothing.

A datasplit with addresses must name labels that exist, so the bucket is asked for each crop. An array
without a chunk is absent from its crop; how much there is of the others is not known without reading them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import crop_em_path, crop_path, store_path
from cellmap_tui.errors import MissingDataError
from cellmap_tui.services.split_sources import Candidate, Found, chosen_crops

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_listing import BucketReader
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.split_model import SplitRequest

CROPS_AT_ONCE = 16
"""Crops asked about side by side; each takes one request and one for each of the classes that it has."""


def find_remote(
    request: SplitRequest, catalog: Catalog, wanted: Callable[[Sequence[str]], Sequence[str]], report: Reporter
) -> Found:
    """Return the crops of the catalog whose labels the bucket has.

    Parameters
    ----------
    wanted
        Returns which of a crop's classes matter; only these are asked about.

    Raises
    ------
    MissingDataError
        If the bucket has labels of none.
    CellmapError
        If the bucket cannot be read.
    """
    from cellmap_tui.services.fetch_bucket import open_reader, run_asking
    from cellmap_tui.storage.bucket import BucketAddress

    crops = chosen_crops(request, catalog)
    address = BucketAddress(request.endpoint_url, request.bucket, profile=request.profile)

    async def ask() -> list[Candidate]:
        reader = open_reader(address, report, None, None)
        room = asyncio.Semaphore(CROPS_AT_ONCE)
        done = 0

        async def one(crop: Crop) -> Candidate:
            nonlocal done
            async with room:
                found = await _look(reader, crop, request.bucket, wanted)
            done += 1
            report.progress(done, len(crops), "crops")
            return found

        return list(await asyncio.gather(*(one(crop) for crop in crops)))

    candidates = run_asking(ask, report)
    present = [candidate for candidate in candidates if candidate.available]
    if not present:
        raise MissingDataError(f"{address} has labels of none of {len(crops)} crops", "check --bucket and --crops")
    return Found(tuple(candidates))


async def _look(
    reader: BucketReader, crop: Crop, bucket: str, wanted: Callable[[Sequence[str]], Sequence[str]]
) -> Candidate:
    prefix = f"{crop_path(crop)}/"
    em_group = str(crop_em_path(crop))
    above, em = await asyncio.gather(reader.folder(prefix), reader.body(f"{em_group}/.zattrs"))
    there = {folder.rstrip("/").rpartition("/")[2] for folder in above.folders}
    available = [name for name in crop.classes if name in there]
    asked = list(wanted(available))
    pages = await asyncio.gather(*(_has_chunk(reader, f"{prefix}{name}/") for name in asked))
    store = str(store_path(crop.dataset))
    address = f"s3://{bucket}/{store}"
    return Candidate(
        ref=crop.ref,
        dataset=crop.dataset,
        space=f"{crop.dataset}/{crop.alignment}",
        grid=crop.grid,
        annotated=crop.classes,
        available=tuple(available),
        em_file=address,
        em_path=em_group.removeprefix(f"{store}/"),
        label_file=address,
        label_path=str(crop_path(crop)).removeprefix(f"{store}/"),
        class_grids=crop.class_grids,
        empty=frozenset(name for name, is_there in zip(asked, pages, strict=True) if not is_there),
        em_problem="" if em is not None else f"the bucket has no EM at {em_group}",
    )


async def _has_chunk(reader: BucketReader, prefix: str) -> bool:
    from cellmap_tui.services.fetch_listing import is_metadata

    page = await reader.page(prefix)
    return any(not is_metadata(remote.key) for remote in page)
