"""The published archives: all crops in one file, in four selections of EM.

Each holds what fetching all crops one object at a time would bring. Sizes are not part of the
table: the archives are replaced from time to time, and only the bucket knows how large they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from cellmap_tui.errors import RequestError

ARCHIVES_PREFIX = "csc-zipped-data"
"""Folder of the archives in the bucket."""


@dataclass(frozen=True, slots=True)
class PublishedArchive:
    """One archive in the bucket."""

    name: str
    """File name without ending; also the name of what is kept beside the data while it is fetched."""
    all_levels: bool
    """Whether EM of every level is in it, finer than the labels too."""
    padding_voxels: int
    """Voxels of EM around each crop, of every level's own size."""

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return f"{ARCHIVES_PREFIX}/{self.name}.zip"


ARCHIVES = (
    PublishedArchive("all_res_128_pad", all_levels=True, padding_voxels=128),
    PublishedArchive("all_res_no_pad", all_levels=True, padding_voxels=0),
    PublishedArchive("matched_res_128_pad", all_levels=False, padding_voxels=128),
    PublishedArchive("matched_res_no_pad", all_levels=False, padding_voxels=0),
)
"""Every published archive."""


def find_archive(*, all_levels: bool, padding_voxels: int) -> PublishedArchive:
    """Return the archive of a selection of EM.

    Raises
    ------
    RequestError
        If none was published with that padding.
    """
    for archive in ARCHIVES:
        if (archive.all_levels, archive.padding_voxels) == (all_levels, padding_voxels):
            return archive
    paddings = sorted({archive.padding_voxels for archive in ARCHIVES})
    raise RequestError(
        f"no archive was published with {padding_voxels} voxels of raw padding",
        f"use --raw-padding {' or '.join(map(str, paddings))} with --zip, or leave --zip out",
    )
