"""Small archives for tests: good ones, laid out like the published, and evil ones."""

from __future__ import annotations

import io
import random
import stat
import zipfile

KEY = "csc-zipped-data/matched_res_no_pad.zip"
PATH = f"/janelia-cosem-datasets/{KEY}"


def tree(files: int = 600, seed: int = 1) -> dict[str, bytes]:
    """Return files of two datasets by their path below the data root; some compress, some do not."""
    rng = random.Random(seed)
    found: dict[str, bytes] = {}
    for number in range(files):
        dataset = f"jrc_test-{number % 2}"
        folder = f"{dataset}/{dataset}.zarr/recon-1/labels/groundtruth/crop{number % 3}/mito/s0"
        body = rng.randbytes(rng.randrange(1, 3000)) if number % 4 else bytes(rng.randrange(5000))
        found[f"{folder}/{number // 6}/{number % 6}/0"] = body
        found[f"{folder}/.zarray"] = b'{"zarr_format": 2}'
    return found


def packed(files: dict[str, bytes], wrapper: str = "", extras: dict[str, bytes] | None = None) -> bytes:
    """Return an archive of files, in a folder `wrapper`, with folder entries as zip programs write them."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, body in (extras or {}).items():
            archive.writestr(name, body)
        if wrapper:
            archive.mkdir(wrapper)
        for number, (name, body) in enumerate(files.items()):
            method = zipfile.ZIP_DEFLATED if number % 3 else zipfile.ZIP_STORED
            archive.writestr(f"{wrapper}/{name}" if wrapper else name, body, method)
    return memory.getvalue()


def with_member(name: str, *, mode: int = 0, flags: int = 0, body: bytes = b"x") -> bytes:
    """Return an archive with one good chunk and one other member."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("jrc_a/jrc_a.zarr/s0/0/0/0", b"good")
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = mode << 16
        archive.writestr(info, body)
        info.flag_bits |= flags
    return memory.getvalue()


LINK = stat.S_IFLNK | 0o777
PIPE = stat.S_IFIFO | 0o644
