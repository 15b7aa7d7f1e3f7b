from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def events(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def environ(tmp_path):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CELLMAP_TUI_", "CSC_", "AWS_"))
    }
    return {
        **kept,
        "CELLMAP_TUI_STATE_DIR": str(tmp_path / "state"),
        "CELLMAP_TUI_CONFIG_DIR": str(tmp_path / "config"),
        "CELLMAP_TUI_RUNS_ROOT": str(tmp_path / "runs"),
        "PYTHONUTF8": "1",
    }


@pytest.fixture
def cellmap(environ, tmp_path):
    """Run the command line in a process of its own, without a terminal."""

    def run(*words, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "cellmap_tui", *map(str, words)],
            env={**environ, **variables},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def stacks(tmp_path):
    """A small EM stack and a membrane mask as TIFF files."""
    random = np.random.default_rng(0)
    em = random.integers(60, 200, (6, 40, 48), dtype=np.uint8)
    mask = np.zeros((6, 40, 48), np.uint8)
    mask[:, 10:14] = 1
    tifffile.imwrite(tmp_path / "em.tif", em)
    tifffile.imwrite(tmp_path / "membrane.tif", mask)
    return tmp_path
