"""EM straight from the bucket: metadata once, chunks just before they are read, in a folder that goes away again.

What is read is a folder of the same layout as after a fetch, so nothing else knows where it came from.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cellmap_tui.errors import MissingDataError

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.learning.bank_em import CropEm
    from cellmap_tui.services.fetch_bucket import PatientReader
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.ngff import Level

AT_ONCE = 32
"""Chunks asked for side by side."""
KEPT_CHUNKS = 8192
"""Chunks that stay on disk before the oldest are removed; 2 GB of the usual ones."""


class RemoteEm:
    """A bucket whose EM volumes appear as folders, chunk by chunk.

    Parameters
    ----------
    request
        Names server, bucket and profile.
    report
        Told when the server is away.
    """

    def __init__(self, request: PredictRequest, report: Reporter) -> None:
        self._request, self._report = request, report
        self.root = Path(tempfile.mkdtemp(prefix="cellmap-em-"))
        self._asked: dict[str, None] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cellmap-bucket", daemon=True)
        self._reader: PatientReader | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def folder(self, prefix: str) -> Path:
        """Return the folder in which a prefix of the bucket appears."""
        return self.root / prefix

    def bring_metadata(self, em: Path) -> None:
        """Bring the metadata of an EM volume.

        Raises
        ------
        MissingDataError
            If the bucket has none there.
        CellmapError
            If the bucket cannot be read.
        """
        from cellmap_tui.volumes.metadata import parse_json

        self._bring([em / ".zattrs", em / ".zgroup"])
        if not (em / ".zattrs").is_file():
            raise MissingDataError(f"the bucket has no EM at {self._key(em)}", "check --bucket and --endpoint-url")
        told = parse_json((em / ".zattrs").read_bytes(), em / ".zattrs").value
        scales = told.get("multiscales") if isinstance(told, dict) else None
        first = scales[0] if isinstance(scales, list) and scales and isinstance(scales[0], dict) else {}
        names = [part.get("path") for part in first.get("datasets", ()) if isinstance(part, dict)]
        plain = [name for name in names if isinstance(name, str) and name.replace("-", "").replace("_", "").isalnum()]
        self._bring([em / name / ".zarray" for name in plain])

    def bring(self, level: Level, grid: Grid) -> None:
        """Bring the chunks of a level under a grid."""
        from cellmap_tui.volumes.arrays import chunk_file, chunks_of
        from cellmap_tui.volumes.geometry import covering_range

        # Interpolation looks one voxel further, averaging one cell.
        cell = max(
            -(-int(a) // max(1, int(b))) for a, b in zip(grid.voxel_size_nm, level.grid.voxel_size_nm, strict=True)
        )
        box = covering_range(level.grid, grid.lower_nm, grid.upper_nm, padding_voxels=2 * max(1, cell))
        self._bring([chunk_file(level, chunk) for chunk in chunks_of(box, level.chunks)])

    def _bring(self, files: list[Path]) -> None:
        with self._lock:
            new = [file for file in files if str(file) not in self._asked]
        if new:
            asyncio.run_coroutine_threadsafe(self._bring_all(new), self._loop).result()
        with self._lock:
            for file in files:
                self._asked.pop(str(file), None)
                self._asked[str(file)] = None
            self._thin_out()

    def _thin_out(self) -> None:
        """Remove the chunks that were asked for longest ago; metadata stay."""
        spare = len(self._asked) - KEPT_CHUNKS
        for name in list(self._asked)[: max(0, spare)]:
            if not Path(name).name.startswith("."):
                Path(name).unlink(missing_ok=True)
                del self._asked[name]

    async def _bring_all(self, files: list[Path]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(file: Path) -> None:
            async with room:
                found = await self._opened().body(self._key(file))
            if found is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                temporary = file.with_name(f".{file.name}.part")
                temporary.write_bytes(found.content)
                temporary.replace(file)

        await asyncio.gather(*(one(file) for file in files))

    def _opened(self) -> PatientReader:
        """Return the open bucket; only inside the loop."""
        if self._reader is None:
            from cellmap_tui.services.fetch_bucket import open_reader
            from cellmap_tui.storage.bucket import BucketAddress

            request = self._request
            address = BucketAddress(request.endpoint_url, request.bucket, profile=request.profile)
            self._reader = open_reader(address, self._report, None, None)
        return self._reader

    def _key(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def open_remote_em(remote: RemoteEm, path: Path, grid: Grid) -> CropEm:
    """Return the EM of the bucket under a grid; see `learning.bank_em.open_em`."""
    from cellmap_tui.learning.bank_em import CropEm, grey_window, middle_of
    from cellmap_tui.volumes.geometry import sub_grid
    from cellmap_tui.volumes.levels import choose_level
    from cellmap_tui.volumes.ngff import open_volume

    remote.bring_metadata(path)
    volume = open_volume(path)
    coarsest = volume.levels[-1]
    if coarsest.dtype != "uint8":
        remote.bring(coarsest, sub_grid(coarsest.grid, middle_of(coarsest)))
    return CropEm(volume, choose_level(volume, grid.voxel_size_nm), grey_window(volume), None)
