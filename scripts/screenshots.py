"""Redraw the pictures of the README and the docs from the app itself, on the demo data.

    make screenshots

Makes the demo in a temporary folder, opens each screen in memory and writes ``docs/pictures/*.svg``.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from cellmap_tui.services.settings import Settings

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
PATIENCE_S = 30.0

SHOTS: dict[str, tuple[tuple[int, int], str, tuple[str, ...], str]] = {
    "data": ((160, 50), "data", (), "share"),
    "slice": ((100, 40), "data", ("v",), "legend"),
    "classes": ((160, 50), "classes", ("m",), "training crops"),
    "targets": ((160, 50), "classes", ("t", "space", "j", "j", "space"), "every target"),
    "submit": ((160, 50), "submit", ("down",), "volumes"),
    "home": ((80, 24), "home", (), "what next"),
}
"""Name of the picture: size of the terminal, screen, keys, words that show that it is complete."""


async def shoot(settings: Settings, name: str) -> None:
    """Write one picture."""
    from cellmap_tui.app.app import CellmapApp

    size, start, keys, words = SHOTS[name]
    app = CellmapApp(settings, start=start, options={"picture": name})
    app.host = "gpu-07"
    async with app.run_test(size=size) as pilot:
        await settled(pilot, lambda: True)
        for key in keys:
            await pilot.press(key)
        await settled(pilot, lambda: words in shown(app))
        svg = app.export_screenshot(title=f"cellmap-tui · {name}")
    # The pictures shall not ask anybody's server for a font.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"/tmp/tmp\w{8}", "/data/cellmap", svg)
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.svg").write_text(svg)
    print(f"{PICTURES / name}.svg  {len(svg) // 1000} kB")


async def settled(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until nothing works in the background and the condition holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    quiet = 0
    while quiet < 10:
        await pilot.pause(0.1)
        busy = any(worker.is_running and worker.group != "runs" for worker in pilot.app.workers)
        quiet = 0 if busy or not condition() else quiet + 1
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the screen did not settle:\n{shown(pilot.app)}")


def shown(app: object) -> str:
    """Return what the screen shows, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())  # type: ignore[attr-defined]


def main() -> None:
    """Make the demo and shoot the screens named on the command line, or all."""
    os.environ["COLORTERM"] = "truecolor"
    from cellmap_tui.services.demo import DemoRequest, demo
    from cellmap_tui.services.demo_journey import make_stand_in
    from cellmap_tui.services.demo_root import DemoRoot
    from cellmap_tui.services.report import SilentReporter
    from cellmap_tui.services.settings import load_settings

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demo"
        os.environ |= {"CELLMAP_TUI_STATE_DIR": f"{folder}/state", "CELLMAP_TUI_CONFIG_DIR": f"{folder}/config"}
        result = demo(DemoRequest(root=root, make_only=True), SilentReporter())
        make_stand_in(DemoRoot(root), SilentReporter())
        settings = replace(load_settings(), data_root=result.data_root)
        for name in sys.argv[1:] or SHOTS:
            asyncio.run(shoot(settings, name))


if __name__ == "__main__":
    main()
