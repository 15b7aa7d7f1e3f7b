"""A data root with two small crops, and what a screen needs to come to rest over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.app.screens.data import DataScreen
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.volumes.write import write_multiscale

if TYPE_CHECKING:
    from textual.pilot import Pilot

GRID = Grid((8.0, 4.0, 4.0), (100.0, 2.0, 2.0), (16, 32, 32))
CROP = Crop(7, "mine", "train", GRID, ("pm", "mito", "er"), source="import")
RESIN = Crop(8, "mine", "train", GRID, ("pm",), source="import")
UNKNOWN_ID = 999


def write_small_data(data_root: Path = Path("data")) -> None:
    """Write EM, an instance class, a mask, an absent class, ids with one that nobody knows, and an empty crop."""
    ramp = np.linspace(40, 220, 32).astype(np.uint8)
    em = np.broadcast_to(ramp, (16, 32, 32)).copy()
    write_multiscale(data_root / crop_em_path(CROP), em, GRID, chunks=(16, 16, 16))
    mito = np.zeros((16, 32, 32), np.uint16)
    mito[:, 4:12, 4:12], mito[:, 18:28, 16:28] = 3, 5
    ids = np.where(mito > 0, 50, 0).astype(np.uint16)
    ids[:, 0, 0] = UNKNOWN_ID
    er = np.zeros((16, 32, 32), np.uint8)
    er[4:8, :, 14:16] = 1
    for name, labels in (("pm", np.zeros_like(er)), ("mito", mito), ("er", er), ("all", ids)):
        write_multiscale(data_root / label_path(CROP, name), labels, GRID, kind="label", chunks=(16, 16, 16))
    write_multiscale(data_root / label_path(RESIN, "pm"), np.zeros_like(er), GRID, kind="label")
    add_local_crops(data_root, [CROP, RESIN])


async def at_rest(pilot: Pilot[None]) -> None:
    """Wait until the screen has loaded, its cursor has rested, and every slice is drawn."""
    app = pilot.app
    while True:
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        screen = app.screen
        waiting = isinstance(screen, DataScreen) and (screen._browsed is None or screen._rest is not None)
        drawing = any(view._is_drawing or _is_settling(view) for view in screen.query(SliceView))
        filtering = any(table.index.is_filtering for table in screen.query("VirtualTable"))
        if not (waiting or drawing or filtering):
            return
        await pilot.pause(0.01)


def _is_settling(view: SliceView) -> bool:
    return view._wanted is not None and view._wanted.coarse
