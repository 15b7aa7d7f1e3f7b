"""A process of its own that lists a bucket and fetches it: `python -m tests.storage.client ENDPOINT BUCKET DEST`."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.listing import list_prefixes
from cellmap_tui.storage.transfer import Transfer, TransferOptions, run_transfers


def main(endpoint, name, dest, largest_file_bytes="", width="16"):
    """Fetch everything below ``ds`` and print what came of it."""
    if largest_file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file_bytes), resource.RLIM_INFINITY))
    bucket = open_bucket(BucketAddress(endpoint, name))
    objects = list_prefixes(bucket, ["ds"], patience_s=20)["ds"]
    outcome = run_transfers(
        bucket,
        [Transfer(o.key, o.size_bytes, o.etag) for o in objects],
        Path(dest),
        options=TransferOptions(width=int(width), patience_s=30),
    )
    ended = outcome.ended.kind if outcome.ended else None
    print(json.dumps({"fetched": outcome.fetched, "skipped": outcome.skipped, "ended": ended}))
    return 0 if outcome.is_complete else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
