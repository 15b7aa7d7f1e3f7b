"""A run that has drawn patches, written by hand: the same pixels and figures everywhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.services.models import to_json
from cellmap_tui.services.patch_looks import FILE, VERSION, LookNote
from cellmap_tui.services.patches_model import ColumnStatistics, LeftOutCrop, PatchesRequest, PatchesResult
from tests.app.builders import run_of

COLUMNS = ("nuc", "er", "er/core")
NOTES = (
    LookNote("mine/crop1", "nuc", "foreground"),
    LookNote("mine/crop2", "er", "anywhere"),
    LookNote("a_very-long.dataset-name-that-somebody-imports-one-day/crop123456", "er", "empty"),
)
BOOK = np.array([[255, 255, 255], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1], [255, 0, 0]], np.uint8)


def drawn_run(shape=(24, 32, 32), *, varied=True, run_id="20251009T085000Z-patches-00000a", **changes):
    """Write a finished run with patches and return its summary."""
    Path("split.csv").touch()
    request = PatchesRequest(split=Path("split.csv").absolute(), shape=shape, show=3, state_dir=Path("state"))
    made = create_run(Path("runs"), "patches", request, ("cellmap-tui", "patches"))
    path = Path("runs") / run_id
    made.path.rename(path)
    (path / "result.json").write_text(json.dumps({"value": json.loads(to_json(result()))}))
    write_looks(path / FILE, shape, varied=varied)
    return run_of(run_id, "done", command="patches", path=path, done=64.0, total=64.0, unit="patches", **changes)


def result():
    """Return figures as a job would."""
    shares = ((0.145, 0.75, 0.105, 40), (0.051, 0.431, 0.518, 48), (0.02, 0.462, 0.518, 31))
    return PatchesResult(
        patches=64,
        columns=tuple(
            ColumnStatistics(name, there, absent, unknown, with_it, 4, 21)
            for name, (there, absent, unknown, with_it) in zip(COLUMNS, shares, strict=True)
        ),
        draws={"foreground": 28, "anywhere": 30, "empty": 6},
        crops=4,
        left_out=(
            LeftOutCrop("mine/crop3", "its labels are at 16 nm, coarser than 8 nm; choose a coarser voxel size"),
        ),
        contradictions={"mine/crop2": 12},
        bank_bytes=15_600_000,
        codes=6,
        raw_mean=0.57,
        raw_deviation=0.17,
        raw_invalid=0.024,
        bank_s=0.6,
        patches_per_s=35.2,
        picture=None,
    )


def write_looks(path, shape, *, varied=True) -> None:
    """Write three patches: a ball beside a block, half of it not known, beyond the EM at one side."""
    z, y, x = np.indices(shape)
    raw = np.stack([(40 + (x * (5 + number) + 3 * y + z) % 180).astype(np.uint8) for number in range(3)])
    middle = [extent / 2 for extent in shape]
    ball = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2 < (shape[1] / 4) ** 2
    codes = np.ones(shape, np.uint16)
    codes[ball] = 2
    codes[:, 2:8, 2:8], codes[:, 4:6, 4:6] = 3, 4
    codes[:, -8:, :] = 0
    codes[:, :, -5:] = 5
    every = np.stack([codes, codes[:, ::-1], np.where(codes > 1, 1, codes).astype(np.uint16)])
    valid = np.ones(raw.shape, np.bool_)
    valid[..., :2] = False
    arrays = {"plain_raw": raw, "plain_valid": valid, "plain_codes": every}
    if varied:
        arrays |= {"varied_raw": 255 - raw, "varied_valid": valid, "varied_codes": every[:, :, ::-1]}
    about = {
        "version": VERSION,
        "columns": COLUMNS,
        "colours": [(230, 159, 0), (86, 180, 233), (86, 180, 233)],
        "notes": [asdict(note) for note in NOTES],
        "voxel_size_nm": (8.0, 8.0, 8.0),
    }
    np.savez_compressed(path, about=np.array(json.dumps(about)), book=BOOK, **arrays)
