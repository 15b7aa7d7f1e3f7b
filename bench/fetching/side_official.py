"""A peer: the way of the official toolbox. Runs in an environment with zarr 2 and s3fs.

An `FSStore` over s3fs is copied key by key into a folder store, 256 keys a task, 32 threads.

    AWS_ENDPOINT_URL_S3=URL python side_official.py BUCKET LISTING DEST
    AWS_ENDPOINT_URL_S3=URL python side_official.py BUCKET --crop CROP_PREFIX EM_PREFIX EM_LISTING DEST

The second form is one crop: its label groups are opened and found by listing, then everything is copied.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import zarr
from zarr.storage import DirectoryStore, FSStore

WORKERS = 32
BATCH = 256


def copy_store(keys: list[str], source: FSStore, dest: DirectoryStore) -> None:
    """Copy keys, one after the other."""
    for key in keys:
        dest[key] = source[key]


def copy_all(pool: ThreadPoolExecutor, keys: list[str], source: FSStore, dest: DirectoryStore) -> list:
    """Begin to copy keys in batches; return the tasks."""
    batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
    return [pool.submit(copy_store, batch, source, dest) for batch in batches]


def store(bucket: str, prefix: str) -> FSStore:
    """Return a store of the bucket."""
    return FSStore(f"s3://{bucket}/{prefix}", mode="r", anon=True)


def crop(bucket: str, crop_prefix: str, em_prefix: str, em_listing: str, dest: str) -> int:
    """Fetch one crop; return the number of keys."""
    labels = zarr.open_group(f"s3://{bucket}/{crop_prefix}", mode="r", storage_options={"anon": True})
    zarr.open_group(f"s3://{bucket}/{em_prefix}", mode="r", storage_options={"anon": True})
    for _, group in labels.groups():
        dict(group.attrs)
        break
    root = labels.store.path
    label_keys = [name.split(root)[-1].lstrip("/") for name in labels.store.fs.find(root)]
    em_keys = Path(em_listing).read_text().split()
    with ThreadPoolExecutor(WORKERS) as pool:
        tasks = copy_all(pool, label_keys, labels.store, DirectoryStore(f"{dest}/labels"))
        tasks += copy_all(pool, em_keys, store(bucket, em_prefix), DirectoryStore(f"{dest}/em"))
        for task in as_completed(tasks):
            task.result()
    return len(label_keys) + len(em_keys)


def main() -> None:
    """Fetch everything."""
    bucket, *rest = sys.argv[1:]
    started = time.perf_counter()
    if rest[0] == "--crop":
        fetched = crop(bucket, *rest[1:])
    else:
        listing, dest = rest
        keys = [line.split("\t")[0] for line in Path(listing).read_text().splitlines()]
        fetched = len(keys)
        with ThreadPoolExecutor(WORKERS) as pool:
            for task in as_completed(copy_all(pool, keys, store(bucket, ""), DirectoryStore(dest))):
                task.result()
    print(json.dumps({"seconds": time.perf_counter() - started, "fetched": fetched}))


if __name__ == "__main__":
    main()
