"""Keystroke to paint in the table of annotations, and the bytes it sends, against Textual's DataTable.

    python bench/table.py [--keys 60]

The app's own data screen runs with a driver that counts what it is given to write, at 120x40. Keys go in as a
terminal's would; "painted" is the end of the first write that shows the filter's rows (cursor keys: the first write).
Sides: the published annotations, 100,000 of them (the same crops many times over), and a bare app with
the same columns in a `DataTable`, in one process. All figures of a side are from the same keys.
Limits: p99 at most 50 ms for every kind of key, and no growth from the published table to 100,000 rows beyond noise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.widgets import DataTable, Input

from cellmap_tui.app import browsing
from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.challenge.catalog import Catalog, builtin_catalog
from cellmap_tui.services.presence import Presence
from cellmap_tui.services.settings import Settings
from cellmap_tui.text import triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Annotation

QUERIES = ("mito dataset:hela voxel<=4", "er_mem 2 liver", "nuc shape>=400", "-cell dataset:mus")
SIZE = (120, 40)
LIMIT_S = 0.050
QUIET_S = 0.06
"""The app has settled when nothing was written for this long."""
MANY = 100_000


class Meter(HeadlessDriver):
    """Counts what would go to a terminal."""

    bytes_written = 0
    writes = 0
    written_at = 0.0
    waiting_for_rows = False
    """Writes are not yet the answer to the key: the rows have not changed."""
    painted_at: ClassVar[float | None] = None

    @property
    def is_headless(self) -> bool:
        """Make the app render as for a terminal."""
        return False

    def write(self, data: str) -> None:
        """Count."""
        Meter.bytes_written += len(data.encode())
        Meter.writes += 1
        Meter.written_at = time.perf_counter()
        if Meter.painted_at is None and not Meter.waiting_for_rows:
            Meter.painted_at = Meter.written_at


@dataclass
class Side:
    """What was measured on one side."""

    name: str
    typing_s: list[float] = field(default_factory=list)
    cursor_s: list[float] = field(default_factory=list)
    scroll_s: list[float] = field(default_factory=list)
    cursor_bytes: list[int] = field(default_factory=list)
    scroll_bytes: list[int] = field(default_factory=list)
    idle_bytes: int = 0


def rows_changed() -> None:
    """Tell the meter that the next write shows the new rows."""
    Meter.waiting_for_rows = False


async def press(app: App[None], key: str, character: str | None, *, changes_rows: bool) -> tuple[float, int]:
    """Send a key and return seconds to the paint and bytes until the app is quiet."""
    before = Meter.bytes_written
    Meter.painted_at, Meter.waiting_for_rows = None, changes_rows
    start = time.perf_counter()
    app.post_message(events.Key(key, character))
    deadline = start + 10
    while time.perf_counter() < deadline:
        await asyncio.sleep(0.002)
        if Meter.painted_at is not None and time.perf_counter() - Meter.written_at > QUIET_S:
            break
    if Meter.painted_at is None:
        raise SystemExit(f"{key} was never painted")
    return Meter.painted_at - start, Meter.bytes_written - before


async def quiet() -> None:
    """Wait until nothing is written."""
    while time.perf_counter() - Meter.written_at < 5 * QUIET_S:
        await asyncio.sleep(QUIET_S)


async def measure(app: App[None], side: Side, keys: int) -> None:
    """Type and delete the queries, then move the cursor with one of them in place."""
    await quiet()
    await press(app, "slash", "/", changes_rows=False)
    for query in QUERIES:
        for character in query:
            side.typing_s.append((await press(app, events_key(character), character, changes_rows=True))[0])
        for _ in query:
            side.typing_s.append((await press(app, "backspace", None, changes_rows=True))[0])
    await press(app, "m", "m", changes_rows=True)
    await press(app, "enter", None, changes_rows=False)
    await quiet()
    for number in range(keys):
        took, sent = await press(app, "down", None, changes_rows=False)
        is_step = 0 < number < SIZE[1] // 2
        if is_step:
            side.cursor_s.append(took)
            side.cursor_bytes.append(sent)
        elif number > SIZE[1]:
            side.scroll_s.append(took)
            side.scroll_bytes.append(sent)
    before = Meter.bytes_written
    await asyncio.sleep(2)
    side.idle_bytes = Meter.bytes_written - before


def events_key(character: str) -> str:
    """Return Textual's name of a printable key."""
    names = {" ": "space", ":": "colon", "<": "less_than_sign", "=": "equals_sign", ">": "greater_than_sign"}
    return names.get(character) or {"-": "minus", "_": "underscore"}.get(character, character)


async def run_ours(name: str, catalog: Catalog, keys: int, folder: Path) -> Side:
    """Measure the data screen with its annotations shown."""
    side = Side(f"{name} ({len(catalog.annotations()):,} rows)")
    browsing.browse = lambda settings: browsing.Browsed(catalog, Presence(settings.data_root))
    changed = VirtualTable._change_rows

    def change_rows(table: VirtualTable, *change: object, **options: bool) -> None:
        changed(table, *change, **options)  # type: ignore[arg-type]
        if type(table).__name__ == "AnnotationTable":
            rows_changed()

    VirtualTable._change_rows = change_rows  # type: ignore[method-assign]
    settings = Settings(folder / "data", folder / "runs", folder / "config", folder / "state")
    app = CellmapApp(settings, start="data")
    app.driver_class = Meter
    running = asyncio.create_task(app.run_async(size=SIZE))
    try:
        await asyncio.sleep(1)
        app.post_message(events.Key("t", "t"))
        await asyncio.sleep(1)
        await measure(app, side, keys)
    finally:
        app.exit()
        await running
        VirtualTable._change_rows = changed  # type: ignore[method-assign]
    return side


class Bare(App[None]):
    """The same rows in Textual's own table, filtered by the same words."""

    BINDINGS: ClassVar = [("slash", "filter", "filter")]

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.lines = [(_cells(row), " ".join(_cells(row))) for row in catalog.annotations()]

    def compose(self) -> ComposeResult:
        """Yield a line over a table."""
        line = Input()
        line.cursor_blink = False
        yield line
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        """Fill the table."""
        table = self.query_one(DataTable)
        table.add_columns("crop", "class", "dataset", "split", "nm", "shape", "local")
        table.add_rows(cells for cells, _ in self.lines)
        table.focus()

    def action_filter(self) -> None:
        """Type."""
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        kept = self.catalog.query(event.value, partial=True).filter_annotations(self.catalog.annotations())
        table = self.query_one(DataTable)
        table.clear()
        table.add_rows(self.lines[number][0] for number in kept)
        rows_changed()

    def on_input_submitted(self) -> None:
        """Go to the table."""
        self.query_one(DataTable).focus()


def _cells(row: Annotation) -> tuple[str, ...]:
    grid = row.grid
    size = voxel(grid.voxel_size_nm)
    return (str(row.crop.id), row.class_name, row.crop.dataset, row.crop.split, size, triple(grid.shape), "○ remote")


async def run_bare(name: str, catalog: Catalog, keys: int) -> Side:
    """Measure the DataTable."""
    side = Side(f"{name} ({len(catalog.annotations()):,} rows)")
    app = Bare(catalog)
    app.driver_class = Meter
    running = asyncio.create_task(app.run_async(size=SIZE))
    try:
        await asyncio.sleep(2)
        await measure(app, side, keys)
    finally:
        app.exit()
        await running
    return side


def many(catalog: Catalog, annotations: int) -> Catalog:
    """Return a catalog with the crops many times over, under other numbers."""
    copies = -(-annotations // len(catalog.annotations()))
    crops = [replace(crop, id=crop.id + 1000 * copy) for copy in range(copies) for crop in catalog.crops]
    return Catalog(catalog.classes, crops)


def p(values: list[float], share: float) -> float:
    """Return a percentile in ms."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(sides: list[Side]) -> None:
    """Print figures and ratios."""
    columns = ("typing p50", "p99", "step p50", "p99", "scroll p50", "p99", "B/step", "B/scroll", "B idle 2 s")
    print(f"{'ms; bytes':28}" + "".join(f"{title:>12}" for title in columns))
    for side in sides:
        kinds = (side.typing_s, side.cursor_s, side.scroll_s)
        times = [f"{p(values, share):12.1f}" for values in kinds for share in (0.5, 0.99)]
        sizes = (statistics.median(side.cursor_bytes), statistics.median(side.scroll_bytes), side.idle_bytes)
        print(f"{side.name:28}" + "".join(times) + "".join(f"{size:12.0f}" for size in sizes))
    ours, large, bare = sides
    ratios = {
        "DataTable / ours, typing p50": p(bare.typing_s, 0.5) / p(ours.typing_s, 0.5),
        "DataTable / ours, typing p99": p(bare.typing_s, 0.99) / p(ours.typing_s, 0.99),
        "DataTable / ours, bytes a step": statistics.median(bare.cursor_bytes) / statistics.median(ours.cursor_bytes),
        "100,000 rows / published, typing p50": p(large.typing_s, 0.5) / p(ours.typing_s, 0.5),
        "100,000 rows / published, typing p99": p(large.typing_s, 0.99) / p(ours.typing_s, 0.99),
        "100,000 rows / published, step p50": p(large.cursor_s, 0.5) / p(ours.cursor_s, 0.5),
    }
    for name, ratio in ratios.items():
        print(f"ratio {name}: {ratio:.2f}")
    worst = max(p(values, 0.99) for side in (ours, large) for values in (side.typing_s, side.cursor_s, side.scroll_s))
    verdict = "ok" if worst <= 1000 * LIMIT_S else "MISSED"
    print(f"worst p99 of ours: {worst:.1f} ms, limit {1000 * LIMIT_S:.0f} ms: {verdict}")


def main() -> None:
    """Measure all sides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=80, help="cursor steps (default: 80)")
    keys = parser.parse_args().keys
    os.environ["COLORTERM"] = "truecolor"
    catalog = builtin_catalog()

    async def measure_all(folder: Path) -> list[Side]:
        return [
            await run_ours("ours", catalog, keys, folder),
            await run_ours("ours", many(catalog, MANY), keys, folder),
            await run_bare("DataTable", catalog, keys),
        ]

    with tempfile.TemporaryDirectory() as folder:
        report(asyncio.run(measure_all(Path(folder))))


if __name__ == "__main__":
    main()
