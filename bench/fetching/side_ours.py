"""Our side: `storage.run_transfers` over a listing, in a process of its own.

    python side_ours.py URL BUCKET LISTING DEST [WIDTH]

prints seconds and outcome as JSON; the clock runs from the open bucket to the last object in place.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.transfer import Transfer, TransferOptions, run_transfers

if TYPE_CHECKING:
    from collections.abc import Iterator


def transfers(listing: Path) -> Iterator[Transfer]:
    """Yield what the listing names."""
    with listing.open() as lines:
        for line in lines:
            key, size, md5 = line.rstrip("\n").split("\t")
            yield Transfer(key, int(size), md5)


def main() -> int:
    """Fetch everything; return 1 if something is missing."""
    url, bucket, listing, dest, *rest = sys.argv[1:]
    options = TransferOptions(width=int(rest[0])) if rest else TransferOptions()
    Path(dest).mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    outcome = run_transfers(
        open_bucket(BucketAddress(url, bucket)), transfers(Path(listing)), Path(dest), options=options
    )
    seconds = time.perf_counter() - started
    ended = outcome.ended.message if outcome.ended else ""
    print(
        json.dumps({"seconds": seconds, "fetched": outcome.fetched, "failed": outcome.failed_count, "ended": ended})
    )
    return 0 if outcome.is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
