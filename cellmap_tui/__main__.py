"""``python -m cellmap_tui``."""

from __future__ import annotations

from cellmap_tui.cli.main import entry

if __name__ == "__main__":
    entry()
