"""One required volume from its prediction to members of the zip: placed, checked, compressed, box by box."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError
from cellmap_tui.services.pack_sources import Place, open_place
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.scoring.sources import Source
    from cellmap_tui.services.pack_model import CellState
    from cellmap_tui.services.pack_zip import PartWriter
    from cellmap_tui.volumes.checked_voxels import Seen

BOX_BYTES = 64 * 2**20
"""Voxels read in one piece where the chunks of a prediction are not those of the zip."""
MOST_PENDING = 6
"""Chunks of a volume that wait for the compressor."""
FIXED_BYTES = 96 * 2**20
"""Decoded chunks that are kept, and a chunk on its way through the compressor."""
RESAMPLING_BYTES = 256 * 2**20
"""What resampling takes beside."""
EXACT_FLOAT_IDS = {2: 2**11, 4: 2**24, 8: 2**53}
"""Largest id that a float of so many bytes tells from its neighbour."""


@dataclass(frozen=True, slots=True)
class VolumeJob:
    """One volume to pack."""

    annotation: Annotation
    """Crop, class and grid."""
    place: Place | None
    """The prediction; None: zeros."""
    threshold: float | None
    """Semantic predictions are foreground above it."""

    @property
    def name(self) -> str:
        """Crop and class, as in the zip."""
        return f"{self.annotation.crop.name}/{self.annotation.class_name}"

    @property
    def grid(self) -> Grid:
        """Grid of the volume."""
        return self.annotation.grid

    @property
    def is_instance(self) -> bool:
        """Whether the class is scored object by object."""
        from cellmap_tui.scoring.profiles import scoring_of

        return scoring_of(self.annotation.class_name) == "instance"


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a packed volume turned out to be."""

    state: CellState
    """What there was."""
    dtype: str
    """Type of its voxels in the zip."""
    max_value: int
    """Largest value."""
    warnings: tuple[str, ...]
    """What to look at."""


class _TooWideError(Exception):
    """An id does not fit the type that was tried."""


class WrongVoxelsError(DataError):
    """A prediction whose voxels cannot be packed as they are."""


def needed_bytes(job: VolumeJob) -> int:
    """Return about how much memory packing a volume takes, from metadata alone; 0 of zeros."""
    import math

    import numpy as np

    if job.place is None:
        return 0
    source = open_place(job.place, job.annotation)
    volume: Any = source.volume
    try:
        itemsize = int(volume.dtype.itemsize)
        shape, chunks = volume.shape, getattr(volume, "chunks", None)
        chunk_bytes = 0 if chunks is None else math.prod(chunks) * itemsize
        # Stacks give whole planes, and a compressed NIfTI comes whole.
        slab_bytes = 64 * shape[1] * shape[2] * itemsize if chunks is None else 0
        is_resampled = source.voxel_size_nm is not None and not np.allclose(
            source.voxel_size_nm, job.grid.voxel_size_nm
        )
    finally:
        _close(volume)
    box_bytes = min(BOX_BYTES, 64 * job.grid.shape[1] * job.grid.shape[2] * itemsize)
    return 2 * box_bytes + FIXED_BYTES + 2 * chunk_bytes + slab_bytes + (RESAMPLING_BYTES if is_resampled else 0)


def pack_volume(
    job: VolumeJob, begin: Callable[[], PartWriter], tick: Callable[[int], None], encoders: ThreadPoolExecutor
) -> VolumeFacts:
    """Write the members of one volume.

    Parameters
    ----------
    job
        The volume.
    begin
        Starts the part, again where ids turn out wider than was tried.
    tick
        Told voxels as they are done; may raise to stop.
    encoders
        Threads that compress chunks while the next are read.

    Raises
    ------
    WrongVoxelsError
        If the prediction holds what cannot be packed.
    DataError
        If it cannot be read.
    """
    if job.place is None:
        _write_empty(job, begin())
        return VolumeFacts("missing", "uint8", 0, ())
    source = open_place(job.place, job.annotation)
    try:
        return _packed(job, source, begin, tick, encoders)
    finally:
        _close(source.volume)


def _packed(
    job: VolumeJob,
    source: Source,
    begin: Callable[[], PartWriter],
    tick: Callable[[int], None],
    encoders: ThreadPoolExecutor,
) -> VolumeFacts:
    from dataclasses import replace

    from cellmap_tui.scoring.alignment import aligned
    from cellmap_tui.scoring.profiles import scoring_of
    from cellmap_tui.services.pack_coverage import state_of
    from cellmap_tui.volumes.checked_voxels import Checked

    scoring = scoring_of(job.annotation.class_name)
    checked = Checked(source.volume, is_ids=job.is_instance, threshold=job.threshold)
    placed = aligned(replace(source, volume=checked), job.grid, scoring)
    types = ["uint8"] if not job.is_instance else _id_types(placed.dtype)
    for dtype in types:
        try:
            highest = _write(job, placed, dtype, begin(), tick, encoders)
            break
        except _TooWideError:
            continue
    is_resampled = placed.volume is not checked
    checked.seen.highest = max(checked.seen.highest, highest)
    warnings = _judged(job, checked.seen, source, is_resampled=is_resampled)
    state, words = state_of(source, job.annotation, has_voxels=highest > 0)
    if words and state not in ("present", "resampled", "empty"):
        warnings.insert(0, words)
    return VolumeFacts(state, dtype, highest, tuple(printable(w) for w in warnings))


def _id_types(dtype: Any) -> list[str]:
    """Return the types to try: 64 bits are rarely needed, and everything else stays as wide as it is."""
    return ["uint32", "uint64"] if dtype.itemsize == 8 else [f"uint{8 * dtype.itemsize}"]


def _write(
    job: VolumeJob,
    placed: Any,
    dtype: str,
    part: PartWriter,
    tick: Callable[[int], None],
    encoders: ThreadPoolExecutor,
) -> int:
    """Write metadata and chunks; return the largest value.

    Raises
    ------
    _TooWideError
        If an id does not fit.
    """
    import numpy as np

    from cellmap_tui.volumes.packed_array import PackedArray, chunk_name

    packed = PackedArray(job.grid, dtype)
    _add_metadata(job, packed, part)
    limit = np.iinfo(dtype).max
    highest = 0
    pending: deque[tuple[str, Future[bytes]]] = deque()
    # Chunk by chunk a prediction stays in the processor's cache; where chunks would be decoded twice, in large boxes.
    box_bytes = 1 if _tiles(placed, packed.chunks) else BOX_BYTES
    for start, stop in packed.boxes(placed.dtype.itemsize, box_bytes):
        voxels = placed.read(start, stop)
        if not job.is_instance:
            voxels = (voxels > 0).view(np.uint8)
        elif voxels.dtype.itemsize > np.dtype(dtype).itemsize and voxels.max() > limit:
            raise _TooWideError
        for number, chunk, largest in packed.chunks_of(voxels, start):
            tick(0)
            highest = max(highest, largest)
            pending.append((chunk_name(number), encoders.submit(packed.encoded, chunk)))
            if len(pending) > MOST_PENDING:
                _add_first(job, pending, part)
        tick(voxels.size)
    while pending:
        _add_first(job, pending, part)
    return highest


def _add_first(job: VolumeJob, pending: deque[tuple[str, Future[bytes]]], part: PartWriter) -> None:
    name, chunk = pending.popleft()
    part.add(f"{job.name}/{name}", chunk.result())


def _tiles(placed: Any, chunks: Shape3) -> bool:
    """Return whether the chunks of a prediction fill those of the zip without crossing their borders."""
    stored = getattr(placed.volume, "chunks", None) if placed.shift == (0, 0, 0) else None
    if stored is None:
        return False
    # An axis that is one chunk in the zip takes any chunks of the prediction.
    return all(c % s == 0 or c >= n for c, s, n in zip(chunks, stored, placed.shape, strict=True))


def _write_empty(job: VolumeJob, part: PartWriter) -> None:
    from cellmap_tui.volumes.packed_array import PackedArray

    _add_metadata(job, PackedArray(job.grid, "uint8"), part)


def _add_metadata(job: VolumeJob, packed: Any, part: PartWriter) -> None:
    for name, data in packed.metadata().items():
        part.add(f"{job.name}/{name}", data)


def _judged(job: VolumeJob, seen: Seen, source: Source, *, is_resampled: bool) -> list[str]:
    """Return what to say about the values that were seen.

    Raises
    ------
    WrongVoxelsError
        If they cannot be packed as they are.
    """
    if seen.has_nan:
        raise WrongVoxelsError(f"{source.name}: holds NaN or infinity", "put 0 in their place, or predict it again")
    if job.is_instance:
        return _judged_ids(seen, source, is_resampled=is_resampled)
    if seen.has_fractions and not is_resampled and job.threshold is None and seen.highest <= 1:
        raise WrongVoxelsError(
            f"{source.name}: holds probabilities, and at the crop's voxel size everything above 0 is foreground",
            "threshold it first: cellmap-tui process, or --threshold 0.5",
        )
    words = []
    if seen.lowest < 0 and job.threshold is None:
        words.append(f"holds negative values, down to {seen.lowest:g}: background")
    if seen.has_several and seen.highest > 1 and job.threshold is None:
        words.append(
            f"holds several values up to {seen.highest:g}, and everything above 0 is foreground; "
            "if they are probabilities give --threshold"
        )
    return words


def _judged_ids(seen: Seen, source: Source, *, is_resampled: bool) -> list[str]:
    if seen.has_fractions:
        what = "probabilities" if seen.lowest >= 0 and seen.highest <= 1 else "fractions"
        raise WrongVoxelsError(
            f"{source.name}: holds {what} where ids of objects are due", "write whole numbers, an id for each object"
        )
    if seen.lowest < 0:
        raise WrongVoxelsError(
            f"{source.name}: holds negative ids, down to {seen.lowest:g}", "use 0 for background, ids above it"
        )
    stored: Any = source.volume.dtype
    words = []
    if stored.kind == "f":
        if seen.highest > EXACT_FLOAT_IDS.get(stored.itemsize, 2**53):
            words.append(f"ids up to {seen.highest:.0f} as {stored}, which does not tell them all apart")
        if is_resampled:
            words.append(f"ids are {stored}: taken as whole numbers, where the official scorer would blur them")
    is_cut = stored.kind in "ui" and stored.itemsize <= 2
    if is_cut and seen.highest == 2 ** (8 * stored.itemsize - (stored.kind == "i")) - 1:
        words.append(f"ids reach {seen.highest:.0f}, the last that {stored} holds: were larger ones cut off?")
    return words


def _close(volume: Any) -> None:
    close = getattr(volume, "close", None)
    if close is not None:
        close()
