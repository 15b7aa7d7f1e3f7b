"""Processes that have spoken to a bucket end with their own exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, sys
from cellmap_tui.storage.bucket import BucketAddress, open_bucket

async def main(bucket):
    answers = await asyncio.gather(*(bucket.get(f"o{i}") for i in range(200)))
    await asyncio.gather(*(answer.bytes_async() for answer in answers))

asyncio.run(main(open_bucket(BucketAddress("file://" + sys.argv[1], "bucket"))))
sys.exit(3)
"""
"""Ends while the client's threads still let go of what they held: without waiting, one in ten ends with SIGABRT."""
RUNS = 40


@pytest.mark.slow
def test_a_process_that_ends_right_after_its_last_answer_keeps_its_exit_code(tmp_path):
    (tmp_path / "bucket").mkdir()
    for number in range(200):
        (tmp_path / "bucket" / f"o{number}").write_bytes(bytes(3000))
    codes = [
        subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], check=False, capture_output=True).returncode
        for _ in range(RUNS)
    ]
    assert codes == [3] * RUNS
