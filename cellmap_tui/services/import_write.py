"""Writing the groups of an import, slab by slab, each whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import ALL_IDS, crop_path
from cellmap_tui.services.import_place import ATTRIBUTE, recorded_import
from cellmap_tui.services.import_plan import slab_voxels
from cellmap_tui.text import count
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.import_plan import Part, Prepared, Tally
    from cellmap_tui.services.report import Reporter


def write_part(ready: Prepared, part: Part, tally: Tally, report: Reporter) -> None:
    """Write one group; what is there is replaced only when the new one is whole."""
    # zarr and numpy, about 0.2 s
    from cellmap_tui.volumes.write import MultiscaleWriter

    path = ready.request.data_root / part.path
    with MultiscaleWriter(
        path,
        part.grid,
        part.dtype,
        "em" if part.kind == "em" else "label",
        attributes={ATTRIBUTE: _attributes(part)},
        overwrite=path.exists(),
    ) as writer:
        source = _AllIds(ready) if part.name == ALL_IDS else None
        for z_start, z_stop in part.slabs(writer.slab_depth):
            writer.write(z_start, source.slab(z_start, z_stop) if source else _converted(part, z_start, z_stop))
            tally.add(slab_voxels(part, z_start, z_stop))
        writer.finish(report.checkpoint)
    if source and source.overlapping:
        overlap = f"classes overlap in {count(source.overlapping)} voxels"
        ready.warnings.append(f"{overlap}; in `{ALL_IDS}` the class given later counts there")
    report.artefact(path, "em" if part.kind == "em" else "labels")


def remove_stale(ready: Prepared) -> None:
    """Remove groups that an earlier import wrote into this crop and this one does not have."""
    folder = ready.request.data_root / crop_path(ready.crop)
    names = {part.name for part in ready.parts}
    if not folder.is_dir():
        return
    for group in folder.iterdir():
        if group.name not in names and group.is_dir() and recorded_import(group):
            shutil.rmtree(group)


def size_on_disk(path: Path) -> int:
    """Return the size of all files below a folder, in bytes."""
    total, folders = 0, [path]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path.__class__(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


class _AllIds:
    """The finest id of each voxel, from the stacks of the atomic classes."""

    def __init__(self, ready: Prepared) -> None:
        self._parts = [part for part in ready.parts if part.info is not None and not part.info.is_group]
        self._all = ready.parts[-1]
        self.overlapping = 0
        """Voxels that more than one class claims."""

    def slab(self, z_start: int, z_stop: int) -> Any:
        """Return ids ``[z, y, x]``; unknown where a class is unknown and none is present."""
        import numpy as np

        ids = np.zeros((z_stop - z_start, *self._all.grid.shape[1:]), self._all.dtype)
        is_unknown = np.zeros(ids.shape, bool)
        for part in self._parts:
            assert part.info is not None
            stored = _converted(part, z_start, z_stop)
            is_foreground = stored != 0
            if part.unknown_value is not None:
                is_hidden = stored == part.unknown_value
                is_unknown |= is_hidden
                is_foreground &= ~is_hidden
            self.overlapping += int(np.count_nonzero(is_foreground & (ids != 0)))
            ids[is_foreground] = part.info.id
        if self._all.unknown_value is not None:
            ids[is_unknown & (ids == 0)] = self._all.unknown_value
        return ids


def _converted(part: Part, z_start: int, z_stop: int) -> Any:
    block = part.read(z_start, z_stop)
    if part.greys is not None:
        return part.greys.applied(block)
    assert part.coding is not None
    return part.coding.applied(block)


def _attributes(part: Part) -> dict[str, Any]:
    attributes: dict[str, Any] = {"version": __version__, "kind": part.kind, "import": part.record}
    if part.unknown_value is not None:
        attributes["unknown_value"] = part.unknown_value
    return attributes
