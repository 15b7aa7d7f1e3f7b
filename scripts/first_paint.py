"""Open the app in memory, wait for its first screen, and check that the named themes are there."""

from __future__ import annotations

import asyncio
import sys

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.services.settings import load_settings


async def main(themes: list[str]) -> None:
    """Fail if the app does not paint or lacks a theme."""
    app = CellmapApp(load_settings())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        missing = [name for name in themes if name not in app.available_themes]
        text = "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())
        if missing or "cellmap" not in text:
            raise SystemExit(f"first paint: missing themes {missing}; screen:\n{text}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
