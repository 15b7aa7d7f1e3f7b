"""A job process that knows the test services; started by path, so that it needs no installed tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellmap_tui.jobs.worker import main
from tests.jobs.work import TEST_COMMANDS

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], TEST_COMMANDS))
