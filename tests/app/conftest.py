"""What holds for all tests of the app: a fixed clock, no user files, no terminal of anybody's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.app.builders import DOCTOR_REPORT, NOW_S
from tests.app.calm import wait_until_calm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _still_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SSH_CONNECTION", "NO_COLOR", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for place in ("textual.app", "textual.pilot"):
        monkeypatch.setattr(f"{place}.wait_for_idle", wait_until_calm)
    monkeypatch.setattr("cellmap_tui.app.run_words.now", lambda: NOW_S)
    monkeypatch.setattr("cellmap_tui.services.doctor.doctor", lambda request, report: DOCTOR_REPORT)
    monkeypatch.setattr("cellmap_tui.app.local_data.free_bytes", lambda path: 1_200_000_000_000)
