"""What `fetch-data --zip` is asked, what it would do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations

from cellmap_tui.challenge.archives import PublishedArchive, find_archive
from cellmap_tui.errors import RequestError
from cellmap_tui.services.fetch_model import AccessMode  # noqa: TC001
from cellmap_tui.services.settings import BUCKET
from cellmap_tui.text import count, duration, size

PART_BYTES = 8 << 20
"""Size of a part where nothing else is asked."""


@dataclass(frozen=True, slots=True)
class FetchArchiveRequest:
    """Which archive to download and unpack, and where to.

    Raises
    ------
    RequestError
        If no archive was published for the options, or a number is out of range.
    """

    data_root: Path
    """Folder that it is unpacked to, laid out as the bucket is."""
    raw_padding: int = 0
    """EM around the crops, in voxels of each level."""
    fetch_all_em_resolutions: bool = False
    """Take the archive with every level of the EM."""
    access_mode: AccessMode = "append"
    """``overwrite``: fetch and unpack it again although it was unpacked before."""
    num_workers: int | None = None
    """Parts in flight at most."""
    limit_rate: int | None = None
    """Bytes a second at most."""
    max_bytes: int | None = None
    """Refuse an archive that is larger."""
    keep_archive: bool = False
    """Keep the zip file beside the data."""
    ignore_disk: bool = False
    """Go on although the free disk space looks too small."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    bucket: str = BUCKET
    """Name of the bucket."""
    profile: str = ""
    """AWS profile; empty: anonymous."""
    part_bytes: int = PART_BYTES
    """Size of a part; what an interrupted download repeats at most, times the parts in flight."""

    def __post_init__(self) -> None:
        find_archive(all_levels=self.fetch_all_em_resolutions, padding_voxels=self.raw_padding)
        if self.num_workers is not None and not 1 <= self.num_workers <= 256:
            raise RequestError(f"--num-workers {self.num_workers} is out of range", "give 1 to 256 with --zip")
        for flag, value in (("--limit-rate", self.limit_rate), ("--max-bytes", self.max_bytes)):
            if value is not None and value < 1:
                raise RequestError(f"{flag} {value} is out of range", "give a number of bytes from 1 up")
        if self.part_bytes < 1024:
            raise RequestError(f"part_bytes {self.part_bytes} is out of range", "give 1024 or more")

    @property
    def archive(self) -> PublishedArchive:
        """The archive that is asked for."""
        return find_archive(all_levels=self.fetch_all_em_resolutions, padding_voxels=self.raw_padding)


@dataclass(frozen=True, slots=True)
class FetchArchivePlan:
    """What fetching an archive would do."""

    data_root: Path
    """Folder that it is unpacked to."""
    address: str
    """The archive, for people."""
    etag: str
    """Its version."""
    archive_bytes: int
    """Its size."""
    here_bytes: int
    """How much of it is on disk from an earlier try."""
    members: int
    """What it holds, folders included."""
    unpacked_bytes: int
    """Size of its files."""
    is_exact: bool
    """Whether every member was looked at; else `unpacked_bytes` is estimated from a sample."""
    disk_bytes: int
    """Disk space that is still needed while it is unpacked: the rest of the archive, and its files."""
    free_bytes: int
    """Free disk space."""
    fits: bool
    """Whether there is room for it, with a margin."""
    unpacked_s: float | None
    """When this very version was unpacked here, in Unix seconds; None: never."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The plan for people, a line each."""
        about = "" if self.is_exact else "about "
        here = f", {size(self.here_bytes)} of it here already" if self.here_bytes else ""
        lines = [
            f"{self.address}: {size(self.archive_bytes)}{here}",
            f"{count(self.members)} members, {about}{size(self.unpacked_bytes)} unpacked into {self.data_root}",
            f"needs {about}{size(self.disk_bytes)} of disk while it is unpacked, {size(self.free_bytes)} are free",
        ]
        if self.unpacked_s is not None:
            lines.append(
                "this version was unpacked here before: nothing to fetch; --access-mode overwrite does it again"
            )
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class FetchArchiveResult:
    """What fetching an archive did."""

    data_root: Path
    """Folder of the data."""
    address: str
    """The archive, for people."""
    etag: str
    """Its version."""
    archive_bytes: int
    """Its size."""
    fetched_bytes: int
    """Bytes that came over the network."""
    kept_bytes: int
    """Bytes that were on disk from an earlier try."""
    retries: int
    """Requests that had to be made again."""
    files: int
    """Files of the archive below the data root."""
    written: int
    """Files that were unpacked now."""
    unpacked_bytes: int
    """Size of all files."""
    left_out: int
    """Members that are no challenge data."""
    repaired: int
    """Members that arrived damaged and were fetched again."""
    datasets: tuple[str, ...]
    """Datasets that it holds."""
    was_unpacked: bool
    """Whether an earlier call had done everything."""
    elapsed_s: float
    """Time it took."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The result for people, a line each."""
        if self.was_unpacked:
            return (
                f"{self.address} was unpacked into {self.data_root} before; nothing was fetched",
                "check what is there: cellmap-tui --batch verify",
            )
        return (
            f"{count(self.files)} files of {len(self.datasets)} datasets, {size(self.unpacked_bytes)}",
            f"in {self.data_root}",
            f"{size(self.fetched_bytes)} fetched in {duration(self.elapsed_s)}, {size(self.kept_bytes)} were here",
        )
