"""Small predictions and requests for tests of packing."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile

import numpy as np
import zarr

from cellmap_tui.services.pack import PackRequest, pack_results
from cellmap_tui.services.report import SilentReporter
from tests.services import submissions as s

DATASET = "jrc_zf-cardiac-1"
PAIRS = [("crop557", "mito"), ("crop557", "er"), ("crop558", "mito"), ("crop558", "pm")]


def volumes():
    return {
        ("crop557", "mito"): s.blobs(5),
        ("crop557", "er"): s.mask(),
        ("crop558", "mito"): s.blobs(9, dtype=np.uint32),
        ("crop558", "pm"): np.roll(s.mask(), 3, 1),
    }


def write(folder, array, *, voxel=s.VOXEL_NM, translation=s.ORIGIN_NM, chunks=(16, 16, 16), **attributes):
    """Write one prediction as a plain array."""
    shutil.rmtree(folder, ignore_errors=True)
    store = zarr.create_array(str(folder), shape=array.shape, dtype=array.dtype, chunks=chunks, zarr_format=2)
    store[:] = array
    store.attrs.update({"voxel_size": list(voxel), "translation": list(translation), **attributes})
    return folder


def predictions(root, given=None):
    """Write predictions as ``process`` does, below ``<root>/processed``."""
    for (crop, label), array in (given or volumes()).items():
        write(root / "processed" / f"{DATASET}.zarr" / crop / label, array)
    return root


def request(root, **options):
    """Return a request on the predictions below a data root."""
    manifest = root / "test.csv"
    if not manifest.exists():
        s.write_manifest(manifest, PAIRS)
    options.setdefault("output", root / "out.zip")
    return PackRequest(data_root=root, state_dir=root / "state", test_manifest=str(manifest), **options)


def pack(root, **options):
    return pack_results(request(root, **options), SilentReporter())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpacked(path, key):
    """Return an array of a zip, read by zarr."""
    store = zarr.storage.ZipStore(path, mode="r")
    try:
        return zarr.open_array(store, path=key, mode="r", zarr_format=2)[:]
    finally:
        store.close()


def names(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def packer(root, **options):
    """Return the command line of a process that packs."""
    fields = {
        "data_root": root,
        "state_dir": root / "state",
        "test_manifest": root / "test.csv",
        "output": root / "out.zip",
    }
    plain = {name: str(value) for name, value in fields.items()} | options
    code = (
        "import json, sys\n"
        "from cellmap_tui.services.models import from_mapping\n"
        "from cellmap_tui.services.pack import PackRequest, pack_results\n"
        "from tests.services.packing import Beat\n"
        "print(pack_results(from_mapping(json.loads(sys.argv[1]), PackRequest, source='test'), Beat()).sha256)\n"
    )
    return [sys.executable, "-c", code, json.dumps(plain)]


class Beat(SilentReporter):
    """Says on stdout when voxels are being packed."""

    def progress(self, done, total, unit):
        if unit == "voxels" and done:
            print("beat", flush=True)
