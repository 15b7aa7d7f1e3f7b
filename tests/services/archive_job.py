"""Fetches an archive in a process of its own, and kills itself at the n-th word of its reporter."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from cellmap_tui.services.fetch_archive import FetchArchiveRequest, fetch_archive
from cellmap_tui.services.report import SilentReporter


class Killed(SilentReporter):
    def __init__(self, words: int) -> None:
        self.left = words

    def checkpoint(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, root, words = sys.argv[1:]
    request = FetchArchiveRequest(Path(root), endpoint_url=url, part_bytes=1 << 14, num_workers=4)
    fetch_archive(request, Killed(int(words)))
