"""A peer: boto3 with 64 threads, each object into its file.

python side_boto3.py URL BUCKET LISTING DEST [THREADS]
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore import UNSIGNED
from botocore.config import Config


def main() -> None:
    """Fetch everything."""
    url, bucket, listing, dest, *rest = sys.argv[1:]
    threads = int(rest[0]) if rest else 64
    keys = [line.split("\t")[0] for line in Path(listing).read_text().splitlines()]
    started = time.perf_counter()
    config = Config(signature_version=UNSIGNED, max_pool_connections=threads, s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config)

    def fetch(key: str) -> None:
        path = Path(dest, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fetch, keys):
            pass
    print(json.dumps({"seconds": time.perf_counter() - started, "fetched": len(keys)}))


if __name__ == "__main__":
    main()
