"""What is imported on the way to the first answer; a look into a fresh interpreter, not a wall time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "pandas",
    "numpy",
    "zarr",
    "skimage",
    "scipy",
    "boto3",
    "botocore",
    "monai",
    "PIL",
    "h5py",
    "tifffile",
}
LOOK = "; import json, sys; json.dump(sorted(sys.modules), sys.stderr)"
FIRST_PAINT = """
import asyncio
from cellmap_tui.app.app import CellmapApp
from cellmap_tui.services.settings import load_settings

class Watched(CellmapApp):
    def _ready_to_look(self):
        import json, sys
        json.dump(sorted(sys.modules), sys.stderr)

async def main():
    app = Watched(load_settings())
    async with app.run_test(size=(80, 24)):
        app._ready_to_look()

asyncio.run(main())
"""


def modules(code, tmp_path):
    environ = {**os.environ, "CELLMAP_TUI_STATE_DIR": str(tmp_path), "CELLMAP_TUI_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [["crops", "--json", "mito"], ["classes", "--json"], ["runs", "list", "--json"]])
def test_printing_commands_import_neither_textual_nor_anything_heavy(tmp_path, words):
    found = modules(f"from cellmap_tui.cli.main import main; main({words!r}){LOOK}", tmp_path)
    assert not found & {*HEAVY, "textual", "rich"}


def test_help_imports_nothing_of_the_services(tmp_path):
    code = f"from cellmap_tui.cli.main import build_parser; build_parser([]).format_help(){LOOK}"
    found = modules(code, tmp_path)
    assert not found & {*HEAVY, "textual", "rich", "msgspec", "platformdirs"}
    assert not [name for name in found if name.startswith(("cellmap_tui.services", "cellmap_tui.jobs"))]


def test_importing_the_package_imports_nothing(tmp_path):
    found = modules(f"import cellmap_tui{LOOK}", tmp_path)
    ours = {name for name in found if name.startswith("cellmap_tui")}
    assert ours == {"cellmap_tui", "cellmap_tui.version"}


def test_the_first_paint_imports_nothing_heavy(tmp_path):
    found = modules(FIRST_PAINT, tmp_path)
    assert not found & HEAVY
    assert len(found) < 650
