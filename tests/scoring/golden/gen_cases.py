"""Deterministic test cases for the segmentation evaluator.

Each case is a small ground truth volume, a submission and a crop manifest,
written as plain Zarr v2 (files are written directly, so the result does not
depend on the installed zarr version).  All randomness comes from numpy's
legacy ``RandomState`` whose stream is frozen, and all shapes are drawn with
integer arithmetic, so every machine produces the same voxels.

    python gen_cases.py OUT                 # write every case
    python gen_cases.py OUT perfect mask    # write some cases
    python gen_cases.py --list              # what there is

A case folder holds::

    ground_truth.zarr/cropN/<label>[, <label>_mask]
    submission.zarr/ or submission.zip or another name (see case.json)
    test_crop_manifest.csv      crop_name,dataset,class_label,voxel_size,...
    case.json                   name, description, submission, direct, digest
"""
# ruff: noqa: B007, B905, C408, E731, F841, RUF005, RUF059, SIM108, SIM905

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

SEEDS = (1,)

# id -> dataset, voxel size (nm), translation (nm) of crops in the challenge's
# test manifest.  Shapes are chosen per case.
CROPS = {
    557: ("jrc_ctl-id8-1", (1.74, 2.0, 2.0), (23837.13, 7599.0, 35999.0)),
    558: ("jrc_mus-kidney", (4.0, 4.0, 4.0), (146798.0, 44798.0, 41598.0)),
    559: ("jrc_fly-vnc-1", (4.0, 4.0, 4.0), (800.0, 1700.0, 10400.0)),
    561: ("jrc_mus-nacc-1", (2.0, 2.0, 2.0), (199.0, 5915.0, 399.0)),
    562: ("jrc_zf-cardiac-1", (8.0, 8.0, 8.0), (121600.0, 105200.0, 23200.0)),
    981: ("jrc_fly-vnc-1", (16.0, 16.0, 16.0), (3206.0, 1926.0, 19206.0)),
    983: ("jrc_zf-cardiac-1", (32.0, 32.0, 32.0), (192012.0, 41612.0, 43212.0)),
}

INSTANCE_LABELS = "nuc vim ves endo lyso ld perox mito np mt cell instance".split()


# --------------------------------------------------------------------------
# Zarr v2, written by hand
# --------------------------------------------------------------------------
def _dump(path, obj):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(obj, indent=1))


def write_group(path, attrs=None, zgroup=True):
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    if zgroup:
        _dump(path / ".zgroup", {"zarr_format": 2})
    if attrs:
        _dump(path / ".zattrs", attrs)


def _codec(name):
    if name is None:
        return None, lambda b: b
    if name == "zlib":
        return {"id": "zlib", "level": 1}, lambda b: zlib.compress(b, 1)
    if name == "blosc":
        import numcodecs  # a dependency of every zarr release

        codec = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=1)
        cfg = dict(codec.get_config())
        cfg = {k: cfg[k] for k in ("id", "cname", "clevel", "shuffle", "blocksize")}
        return cfg, lambda b: bytes(codec.encode(b))
    raise ValueError(name)


def write_array(path, arr, attrs=None, chunks=32, compressor="blosc", sep=".", skip_empty=False, fill_value=0):
    """Write one Zarr v2 array (C order, no filters)."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    arr = np.asarray(arr)
    chunks = tuple(min(int(chunks), max(int(s), 1)) for s in arr.shape)
    cfg, encode = _codec(compressor)
    fill = (
        bool(fill_value) if arr.dtype == bool else (float(fill_value) if arr.dtype.kind == "f" else int(fill_value))
    )
    meta = {
        "zarr_format": 2,
        "shape": list(arr.shape),
        "chunks": list(chunks),
        "dtype": arr.dtype.str,
        "compressor": cfg,
        "fill_value": fill,
        "order": "C",
        "filters": None,
    }
    if sep != ".":
        meta["dimension_separator"] = sep
    _dump(path / ".zarray", meta)
    if attrs:
        _dump(path / ".zattrs", attrs)
    counts = [-(-s // c) for s, c in zip(arr.shape, chunks)]
    for idx in np.ndindex(*counts):
        sl = tuple(slice(i * c, (i + 1) * c) for i, c in zip(idx, chunks))
        part = arr[sl]
        if skip_empty and not (part != fill).any():
            continue
        block = np.full(chunks, fill, dtype=arr.dtype)
        block[tuple(slice(0, n) for n in part.shape)] = part
        f = path / sep.join(map(str, idx))
        f.parent.mkdir(parents=True, exist_ok=True)
        f.write_bytes(encode(np.ascontiguousarray(block).tobytes()))


# --------------------------------------------------------------------------
# Shapes
# --------------------------------------------------------------------------
def draw_ellipsoid(lab, centre, radii, value):
    """Integer-exact filled ellipsoid, clipped at the border."""
    sl, g = [], []
    for c, r, s in zip(centre, radii, lab.shape):
        a, b = max(0, c - r), min(s, c + r + 1)
        if b <= a:
            return
        sl.append(slice(a, b))
        g.append(np.arange(a, b, dtype=np.int64) - c)
    r = [max(int(x), 1) for x in radii]
    p = [r[1] * r[2], r[0] * r[2], r[0] * r[1]]
    q = (
        ((g[0] * p[0]) ** 2)[:, None, None]
        + ((g[1] * p[1]) ** 2)[None, :, None]
        + ((g[2] * p[2]) ** 2)[None, None, :]
    )
    view = lab[tuple(sl)]
    view[q <= (r[0] * r[1] * r[2]) ** 2] = value


def place(rng, shape, n, rmin, rmax, gap=2, tries=3000, restarts=60):
    """n boxes (centre, radii) that stay inside and keep `gap` voxels apart."""
    for _ in range(restarts):
        cs = np.zeros((0, 3), int)
        rs = np.zeros((0, 3), int)
        out = []
        for _ in range(tries * (1 + n // 20)):
            if len(out) == n:
                return out
            r = np.array([rng.randint(rmin, rmax + 1) for _ in range(3)])
            c = np.array([rng.randint(r[d] + 1, shape[d] - r[d] - 1) for d in range(3)])
            if len(cs) and (np.abs(cs - c) <= rs + r + gap).all(axis=1).any():
                continue
            cs = np.vstack([cs, c])
            rs = np.vstack([rs, r])
            out.append((tuple(int(x) for x in c), tuple(int(x) for x in r)))
        if len(out) == n:
            return out
    raise RuntimeError(f"{n} objects do not fit")


def draw_all(shape, objs, ids=None, dtype=np.uint16):
    lab = np.zeros(shape, dtype=dtype)
    for k, (c, r) in enumerate(objs):
        draw_ellipsoid(lab, c, r, k + 1 if ids is None else ids[k])
    return lab


def blobs(rng, shape, n=6, rmin=4, rmax=12, dtype=np.uint8):
    """A semantic mask: overlapping ellipsoids that may cross the border."""
    m = np.zeros(shape, dtype=np.uint8)
    for _ in range(n):
        c = [rng.randint(0, s) for s in shape]
        r = [rng.randint(rmin, rmax + 1) for _ in shape]
        draw_ellipsoid(m, c, r, 1)
    return m.astype(dtype)


def shift(a, d):
    out = np.zeros_like(a)
    src, dst = [], []
    for k, s in zip(d, a.shape):
        src.append(slice(max(0, -k), s - max(0, k)))
        dst.append(slice(max(0, k), s - max(0, -k)))
    out[tuple(dst)] = a[tuple(src)]
    return out


def jiggle(rng, shape, objs, amount, ids=None, dtype=np.uint16):
    """Redraw every object moved and resized by up to `amount` voxels."""
    lab = np.zeros(shape, dtype=dtype)
    for k, (c, r) in enumerate(objs):
        c2 = [int(x + rng.randint(-amount, amount + 1)) for x in c]
        r2 = [int(max(1, x + rng.randint(-1, 2))) for x in r]
        draw_ellipsoid(lab, c2, r2, k + 1 if ids is None else ids[k])
    return lab


def speckle(rng, mask, p_num, p_den):
    """Flip about p_num/p_den of the voxels of a 0/1 mask."""
    f = rng.randint(0, p_den, size=mask.shape) < p_num
    return np.where(f, 1 - mask, mask).astype(mask.dtype)


def up(a, k=2):
    for d in range(3):
        a = np.repeat(a, k, axis=d)
    return a


# --------------------------------------------------------------------------
# Case builder
# --------------------------------------------------------------------------
class Case:
    def __init__(self, kind, seed):
        self.kind, self.seed = kind, seed
        self.name = f"{kind}-s{seed}"
        self.rng = np.random.RandomState(zlib.crc32(f"{kind}:{seed}".encode()))
        self.description = ""
        self.truth, self.pred, self.rows = {}, {}, []
        self.extra_rows = []
        self.submission = "submission.zarr"
        self.packing = "folder"
        self.pred_name = lambda crop: f"crop{crop}"
        self.direct = []
        self.tags = set()
        self.zgroups = True
        self.post = None

    # -- content -----------------------------------------------------------
    def vs(self, crop):
        return CROPS[crop][1]

    def tr(self, crop):
        return CROPS[crop][2]

    def add_truth(self, crop, label, arr, attrs="auto", listed=True, shape=None, **kw):
        ds, vs, tr = CROPS[crop]
        if attrs == "auto":
            attrs = {"voxel_size": list(vs), "translation": list(tr), "shape": list(arr.shape)}
        self.truth[f"crop{crop}", label] = (arr, attrs, kw)
        if listed:
            self.rows.append((crop, ds, label, vs, tr, tuple(shape if shape is not None else arr.shape)))

    def add_mask(self, crop, label, arr, attrs="auto"):
        self.add_truth(crop, f"{label}_mask", arr, attrs=attrs, listed=False)

    def add_pred(self, crop, label, arr, voxel_size="auto", translation="auto", attrs=None, **kw):
        ds, vs, tr = CROPS[crop]
        if attrs is None:
            attrs = {}
            v = list(vs) if isinstance(voxel_size, str) else voxel_size
            t = list(tr) if isinstance(translation, str) else translation
            if v is not None:
                attrs["voxel_size"] = [float(x) for x in v]
            if t is not None:
                attrs["translation"] = [float(x) for x in t]
            if v is not None and t is not None:
                attrs["shape"] = list(arr.shape)
        self.pred[self.pred_name(crop), label] = (arr, attrs, kw)

    def add_pred_group(self, crop, label, group_attrs, arrays):
        """A label that is a group: {key: (array, attrs)}."""
        self.pred[self.pred_name(crop), label] = ("group", group_attrs, arrays)

    def ome(self, crop, label, levels):
        """levels: [(key, array, voxel_size, translation)] as OME-NGFF 0.4."""
        data = []
        for key, _, vs, tr in levels:
            t = [{"type": "scale", "scale": [float(x) for x in vs]}]
            if tr is not None:
                t.append({"type": "translation", "translation": [float(x) for x in tr]})
            data.append({"path": key, "coordinateTransformations": t})
        axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
        ms = [
            {
                "version": "0.4",
                "name": label,
                "axes": axes,
                "datasets": data,
                "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}],
            }
        ]
        self.add_pred_group(crop, label, {"multiscales": ms}, {k: (a, None) for k, a, _, _ in levels})

    # -- writing -----------------------------------------------------------
    def digest(self):
        h = hashlib.sha256()
        for side, store in (("truth", self.truth), ("pred", self.pred)):
            for key in sorted(store):
                arr, attrs, rest = store[key]
                h.update(repr((side, key, json.dumps(attrs, sort_keys=True))).encode())
                items = [("", (arr, None))] if not isinstance(arr, str) else sorted(rest.items())
                for k, (a, at) in items:
                    a = np.ascontiguousarray(a)
                    h.update(repr((k, a.dtype.str, a.shape, json.dumps(at, sort_keys=True))).encode())
                    h.update(a.tobytes())
        return h.hexdigest()

    def _write_store(self, root, store, zgroups=True):
        write_group(root, zgroup=zgroups)
        for crop in sorted({k[0] for k in store}):
            write_group(root / crop, zgroup=zgroups)
        for (crop, label), (arr, attrs, kw) in store.items():
            p = root / crop / label
            if isinstance(arr, str):
                write_group(p, attrs)
                for key, (a, at) in kw.items():
                    write_array(p / key, a, at)
            else:
                write_array(p, arr, attrs, **kw)

    def write(self, out):
        out = Path(out) / self.name
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
        self._write_store(out / "ground_truth.zarr", self.truth)
        rows = ["crop_name,dataset,class_label,voxel_size,translation,shape"]
        for crop, ds, label, vs, tr, sh in self.rows + self.extra_rows:
            f = lambda t: "[" + ";".join(str(x) for x in t) + "]"
            rows.append(f"{crop},{ds},{label},{f(vs)},{f(tr)},{f(sh)}")
        (out / "test_crop_manifest.csv").write_text("\n".join(rows) + "\n")

        if self.packing == "folder":
            self._write_store(out / self.submission, self.pred, self.zgroups)
        elif self.packing.startswith("zip:"):
            stage = out / "_stage"
            inner = self.packing[4:]
            self._write_store(stage / inner if inner else stage, self.pred, self.zgroups)
            zip_dir(stage, out / self.submission)
            shutil.rmtree(stage)
        elif self.packing != "none":
            raise ValueError(self.packing)
        if self.post:
            self.post(self, out)
        _dump(
            out / "case.json",
            {
                "name": self.name,
                "kind": self.kind,
                "seed": self.seed,
                "description": " ".join(self.description.split()),
                "submission": self.submission,
                "direct": self.direct,
                "tags": sorted(self.tags),
                "digest": self.digest(),
            },
        )
        return out


def zip_dir(src, dst, prefix=""):
    with zipfile.ZipFile(dst, "w", zipfile.ZIP_STORED) as z:
        for base, dirs, files in os.walk(src):
            dirs.sort()
            for f in sorted(files):
                p = Path(base) / f
                z.write(p, prefix + str(p.relative_to(src)))


KINDS = {}


def case(fn):
    KINDS[fn.__name__] = fn
    return fn


# --------------------------------------------------------------------------
# Cases
# --------------------------------------------------------------------------
@case
def perfect(c):
    """Prediction equals the truth, flat zip."""
    s = (40, 44, 48)
    inst = draw_all(s, place(c.rng, s, 8, 3, 7))
    sem = blobs(c.rng, s)
    c.add_truth(557, "mito", inst)
    c.add_truth(557, "er", sem)
    c.add_pred(557, "mito", inst.astype(np.uint8))
    c.add_pred(557, "er", sem)
    c.submission, c.packing = "submission.zip", "zip:"


@case
def empty_prediction(c):
    """Submitted, but all zero."""
    s = (32, 36, 40)
    c.add_truth(562, "mito", draw_all(s, place(c.rng, s, 5, 3, 5)))
    c.add_truth(562, "er", blobs(c.rng, s))
    for lab in ("mito", "er"):
        c.add_pred(562, lab, np.zeros(s, np.uint8))


@case
def empty_truth(c):
    """Nothing in the truth, something predicted."""
    s = (32, 36, 40)
    c.add_truth(562, "mito", np.zeros(s, np.uint16))
    c.add_truth(562, "er", np.zeros(s, np.uint8))
    c.add_pred(562, "mito", draw_all(s, place(c.rng, s, 6, 2, 4), dtype=np.uint8))
    c.add_pred(562, "er", blobs(c.rng, s))


@case
def both_empty(c):
    """Nothing on either side."""
    s = (24, 28, 32)
    for lab in ("mito", "er"):
        c.add_truth(562, lab, np.zeros(s, np.uint16))
        c.add_pred(562, lab, np.zeros(s, np.uint8))


@case
def shifted_instances(c):
    """Whole-volume shift (mito) and a different move per object (ld)."""
    s = (48, 48, 48)
    a = place(c.rng, s, 10, 3, 6)
    c.add_truth(562, "mito", draw_all(s, a))
    d = tuple(int(c.rng.randint(-3, 4)) for _ in range(3))
    c.add_pred(562, "mito", shift(draw_all(s, a), d).astype(np.uint8))
    b = place(c.rng, s, 9, 3, 6, gap=6)
    c.add_truth(562, "ld", draw_all(s, b))
    c.add_pred(562, "ld", jiggle(c.rng, s, b, 2, dtype=np.uint8))


@case
def merged_instances(c):
    """Pairs of truth objects joined into one predicted object."""
    s = (48, 48, 56)
    objs, t, p = [], np.zeros(s, np.uint16), np.zeros(s, np.uint8)
    k = 0
    for i in range(4):
        z, y = 12 + 24 * (i // 2), 12 + 24 * (i % 2)
        r1 = int(c.rng.randint(4, 7))
        r2 = int(c.rng.randint(7, 10))
        x1, x2 = 3 + r1, 3 + r1 + r1 + r2 + 3
        draw_ellipsoid(t, (z, y, x1), (5, 6, r1), k + 1)
        draw_ellipsoid(t, (z, y, x2), (6, 5, r2), k + 2)
        draw_ellipsoid(p, (z, y, x1), (5, 6, r1), i + 1)
        draw_ellipsoid(p, (z, y, x2), (6, 5, r2), i + 1)
        p[z - 1 : z + 2, y - 1 : y + 2, x1:x2] = i + 1
        k += 2
    c.add_truth(562, "mito", t)
    c.add_pred(562, "mito", p)


@case
def split_instances(c):
    """One object cut in two: by a background gap (mito), by an id change (ld)."""
    s = (48, 48, 48)
    for lab in ("mito", "ld"):
        objs = place(c.rng, s, 6, 5, 8)
        t = draw_all(s, objs)
        p = t.astype(np.uint8)
        for k, (ctr, r) in enumerate(objs):
            if k % 2:
                continue
            cut = ctr[2] - int(c.rng.randint(1, r[2] - 1))
            m = t == k + 1
            if lab == "mito":
                m[:, :, :cut] = False
                m[:, :, cut + 1 :] = False
                p[m] = 0
            else:
                m[:, :, cut:] = False
                p[m] = 100 + k
        c.add_truth(562, lab, t)
        c.add_pred(562, lab, p)


@case
def id_collision(c):
    """Unmatched predictions whose component number equals a truth id.

    Components are numbered in scan order; matched ones are renamed to the
    truth id, unmatched ones keep their number, which then also marks a truth
    object.  Truth ids are shuffled so that this happens often.
    """
    s = (48, 52, 56)
    objs = place(c.rng, s, 18, 3, 5, gap=3)
    ids = [int(x) for x in 1 + c.rng.permutation(12)]
    t = draw_all(s, objs[:12], ids)
    keep = objs[:7]
    p = jiggle(c.rng, s, keep, 1, dtype=np.uint8)
    for k, (ctr, r) in enumerate(objs[12:]):
        draw_ellipsoid(p, ctr, r, 50 + k)
    c.add_truth(562, "mito", t)
    c.add_pred(562, "mito", p)


@case
def noncontiguous_ids(c):
    """Sparse truth ids, one above 65535, and sparse predicted ids."""
    s = (44, 44, 44)
    objs = place(c.rng, s, 8, 3, 5, gap=3)
    ids = [3, 17, 402, 65000, 70001, 9, 30000, 255]
    c.add_truth(562, "mito", draw_all(s, objs, ids, np.uint32))
    c.add_pred(562, "mito", jiggle(c.rng, s, objs[:6], 1, [7, 9000, 12, 13, 4, 60000], np.uint16))


@case
def too_many_instances(c):
    """Ratio cutoff: 2 truth objects, 150 predicted; a second crop is fine."""
    s = (48, 48, 48)
    c.add_truth(562, "mito", draw_all(s, place(c.rng, s, 2, 4, 8)))
    p = np.zeros(s, np.uint8)
    pts = [(z, y, x) for z in range(2, 46, 6) for y in range(2, 46, 6) for x in range(2, 46, 6)]
    for k in c.rng.permutation(len(pts))[:150]:
        z, y, x = pts[int(k)]
        p[z : z + 2, y : y + 2, x : x + 2] = 1
    c.add_pred(562, "mito", p)
    o = place(c.rng, s, 5, 3, 6, gap=4)
    c.add_truth(559, "mito", draw_all(s, o))
    c.add_pred(559, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))


@case
def missing_label(c):
    """A label is not in the submission (one instance, one semantic)."""
    s = (36, 36, 36)
    o = place(c.rng, s, 5, 3, 5)
    for lab in ("mito", "ld"):
        c.add_truth(562, lab, draw_all(s, o))
    for lab in ("er", "pm"):
        c.add_truth(562, lab, blobs(c.rng, s))
    c.add_pred(562, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.add_pred(562, "er", blobs(c.rng, s))


@case
def missing_crop(c):
    """A whole crop is not in the submission; its labels count as missing."""
    s = (36, 36, 36)
    for crop in (559, 562):
        o = place(c.rng, s, 5, 3, 5, gap=3)
        sem = blobs(c.rng, s)
        c.add_truth(crop, "mito", draw_all(s, o))
        c.add_truth(crop, "er", sem)
        if crop == 559:
            c.add_pred(crop, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
            c.add_pred(crop, "er", speckle(c.rng, sem, 1, 20))
        else:
            c.add_truth(crop, "golgi", blobs(c.rng, s))


@case
def no_crop_prefix(c):
    """Folders named 559, 562 instead of crop559, crop562."""
    c.pred_name = lambda crop: str(crop)
    s = (36, 36, 36)
    for crop in (559, 562):
        o = place(c.rng, s, 4, 3, 5, gap=3)
        c.add_truth(crop, "mito", draw_all(s, o))
        c.add_pred(crop, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.submission, c.packing = "submission.zip", "zip:"


@case
def zip_nested(c):
    """The zip holds outer/inner/submission.zarr/cropN/..."""
    s = (36, 36, 36)
    o = place(c.rng, s, 5, 3, 5)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.submission, c.packing = "submission.zip", "zip:outer/inner/submission.zarr"


@case
def zip_nested_plain(c):
    """The zip holds submission/cropN/... : no .zarr folder to unwrap."""
    s = (24, 24, 24)
    o = place(c.rng, s, 2, 3, 4)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", draw_all(s, o, dtype=np.uint8))
    c.submission, c.packing = "submission.zip", "zip:submission"


@case
def zip_slip(c):
    """A zip member that would be written outside the target folder."""
    s = (24, 24, 24)
    o = place(c.rng, s, 2, 3, 4)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", draw_all(s, o, dtype=np.uint8))
    c.submission, c.packing = "submission.zip", "zip:"

    def post(c, out):
        with zipfile.ZipFile(out / c.submission, "a") as z:
            z.writestr("../outside.txt", "x")

    c.post = post


@case
def dir_with_zip(c):
    """A folder with exactly one zip in it."""
    s = (36, 36, 36)
    o = place(c.rng, s, 5, 3, 5)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.submission, c.packing = "inner.zip", "zip:"

    def post(c, out):
        (out / "upload").mkdir()
        (out / "inner.zip").rename(out / "upload" / "inner.zip")
        (out / "upload" / "notes.txt").write_text("hello\n")
        c.submission = "upload"

    c.post = post


@case
def no_matching_volume(c):
    """No folder of the submission names a truth crop."""
    s = (24, 24, 24)
    o = place(c.rng, s, 2, 3, 4)
    c.add_truth(562, "mito", draw_all(s, o))
    c.pred_name = lambda crop: f"volume_{crop}"
    c.add_pred(562, "mito", draw_all(s, o, dtype=np.uint8))


@case
def not_a_zip(c):
    """The submission is a text file named .zip."""
    s = (24, 24, 24)
    c.add_truth(562, "mito", draw_all(s, place(c.rng, s, 2, 3, 4)))
    c.submission, c.packing = "submission.zip", "none"
    c.post = lambda c, out: (out / c.submission).write_text("this is not a zip\n")


@case
def ome_ngff_label(c):
    """A label stored as an OME-NGFF multiscale group next to a plain one.

    Through the whole-submission entry point a group is not an array, so the
    label counts as missing; the direct entries score it by its path.
    """
    s = (40, 40, 40)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    o = place(c.rng, s, 5, 4, 6, gap=3)
    sem = blobs(c.rng, s)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_truth(562, "er", sem)
    c.add_truth(562, "ld", draw_all(s, o))
    p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
    q = speckle(c.rng, sem, 1, 30)
    for lab, a in (("mito", p), ("er", q)):
        c.ome(562, lab, [("s0", a, vs, tr), ("s1", a[::2, ::2, ::2], vs * 2, tr + vs / 2)])
    c.add_pred(562, "ld", p)
    c.direct = [["crop562", "mito"], ["crop562", "er"]]


@case
def non_ome_group(c):
    """A label stored as a plain group with s0, s1, s2 and voxel_size attrs."""
    s = (40, 40, 40)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    o = place(c.rng, s, 5, 4, 6, gap=3)
    sem = blobs(c.rng, s)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_truth(562, "er", sem)
    c.add_truth(562, "ld", draw_all(s, o))
    p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
    c.add_pred(562, "ld", p)
    at = lambda v: {"voxel_size": [float(x) for x in v], "translation": [float(x) for x in tr]}
    c.add_pred_group(
        562, "mito", {}, {"s0": (up(p), at(vs / 2)), "s1": (p, at(vs)), "s2": (p[::2, ::2, ::2], at(vs * 2))}
    )
    q = speckle(c.rng, sem, 1, 30)
    c.add_pred_group(562, "er", {}, {"s0": (up(q), at(vs / 2)), "s2": (q[::2, ::2, ::2], at(vs * 2))})
    c.direct = [["crop562", "mito"], ["crop562", "er"]]


@case
def finer_semantic(c):
    """Semantic predictions at half the voxel size.

    er: same translation; pm: centre convention (-quarter voxel); golgi: a
    larger region that starts 4 target voxels earlier.
    """
    s = (32, 32, 32)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    for lab in ("er", "pm", "golgi"):
        sem = blobs(c.rng, s, 5, 4, 9)
        c.add_truth(562, lab, sem)
        big = np.zeros(tuple(x + 8 for x in s), np.uint8)
        big[4:-4, 4:-4, 4:-4] = sem
        big = speckle(c.rng, up(big), 1, 12)
        if lab == "golgi":
            c.add_pred(562, lab, big, vs / 2, tr - 4 * vs)
        else:
            fine = big[8:-8, 8:-8, 8:-8]
            c.add_pred(562, lab, fine, vs / 2, tr if lab == "er" else tr - vs / 4)


@case
def coarser_semantic(c):
    """Semantic predictions at twice the voxel size, uint8 and float32."""
    s = (32, 36, 40)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    for lab in ("er", "pm", "golgi"):
        sem = blobs(c.rng, s, 5, 5, 10)
        c.add_truth(562, lab, sem)
        a = sem[::2, ::2, ::2]
        if lab == "er":
            c.add_pred(562, lab, a, vs * 2, tr)
        elif lab == "pm":
            c.add_pred(562, lab, a.astype(bool), vs * 2, tr + vs / 2)
        else:
            f = (a * 0.8 + 0.2 * c.rng.random_sample(a.shape)).astype(np.float32)
            c.add_pred(562, lab, f, vs * 2, tr - 2 * vs)


@case
def finer_instance(c):
    """Instance prediction at half the voxel size, larger region, with offset."""
    s = (32, 32, 32)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    o = place(c.rng, s, 5, 3, 5, gap=3)
    c.add_truth(562, "mito", draw_all(s, o))
    p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
    big = np.zeros(tuple(x + 7 for x in s), np.uint8)
    big[3:-4, 3:-4, 3:-4] = p
    c.add_pred(562, "mito", up(big), vs / 2, tr - 3 * vs)
    c.add_truth(562, "ld", draw_all(s, o))
    c.add_pred(562, "ld", up(p, 3), vs / 3, tr)


@case
def aniso_shift(c):
    """Anisotropic voxels 1.74 x 2 x 2: distances must use the sampling."""
    s = (44, 40, 40)
    o = place(c.rng, s, 8, 3, 6, gap=3)
    c.add_truth(557, "mito", draw_all(s, o))
    c.add_pred(557, "mito", jiggle(c.rng, s, o, 2, dtype=np.uint8))
    o = place(c.rng, s, 4, 3, 6, gap=3)
    c.add_truth(557, "nuc", draw_all(s, o))
    c.add_pred(557, "nuc", shift(draw_all(s, o, dtype=np.uint8), (4, 0, 0)))


@case
def semantic_dtypes(c):
    """Semantic predictions at the target grid in several dtypes.

    Note that without resampling there is no 0.5 threshold: every positive
    value is foreground.
    """
    s = (28, 30, 32)
    for lab, kind in (
        ("er", "bool"),
        ("pm", "uint8"),
        ("golgi", "float32"),
        ("cyto", "uint8x255"),
        ("ecs", "int16"),
        ("ne", "float64"),
        ("chrom", "multi"),
    ):
        sem = blobs(c.rng, s, 4, 4, 9)
        c.add_truth(558, lab, sem)
        p = speckle(c.rng, sem, 1, 15)
        if kind == "uint8x255":
            p = (p * 255).astype(np.uint8)
        elif kind.startswith("float"):
            f = (0.3 * c.rng.random_sample(s)) * (c.rng.randint(0, 3, size=s) == 0)
            p = np.where(p > 0, 0.6 + f, f).astype(kind)
        elif kind == "multi":
            p = (p * c.rng.randint(1, 5, size=s)).astype(np.uint8)
        else:
            p = p.astype(kind)
        c.add_pred(558, lab, p)


@case
def instance_dtypes(c):
    """Instance predictions in several integer dtypes and bool."""
    s = (32, 32, 32)
    for lab, dt in (
        ("mito", np.uint8),
        ("ld", np.uint16),
        ("ves", np.uint32),
        ("endo", np.uint64),
        ("lyso", np.int32),
        ("perox", np.int64),
        ("nuc", bool),
    ):
        o = place(c.rng, s, 4, 3, 5, gap=4)
        c.add_truth(558, lab, draw_all(s, o, dtype=np.uint8))
        c.add_pred(558, lab, jiggle(c.rng, s, o, 1, dtype=np.uint16).astype(dt))


@case
def mask(c):
    """<label>_mask arrays: voxels outside are ignored on both sides.

    The mask arrays are arrays of the truth crop and therefore also listed as
    labels of their own.
    """
    s = (40, 40, 40)
    o = place(c.rng, s, 8, 3, 6, gap=3)
    sem = blobs(c.rng, s)
    m1 = np.ones(s, np.uint8)
    m1[:, :, 20:] = 0
    m2 = (blobs(c.rng, s, 8, 6, 12) > 0).astype(np.uint8)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_truth(562, "er", sem)
    c.add_mask(562, "mito", m1)
    c.add_mask(562, "er", m2)
    c.add_pred(562, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.add_pred(562, "er", speckle(c.rng, sem, 1, 10).astype(bool))


@case
def pred_larger(c):
    """Same voxel size, larger array, translation before the target."""
    s = (32, 34, 36)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    o = place(c.rng, s, 5, 3, 5, gap=3)
    t = draw_all(s, o)
    c.add_truth(562, "mito", t)
    sem = blobs(c.rng, s)
    c.add_truth(562, "er", sem)
    big = np.zeros(tuple(x + 13 for x in s), np.uint8)
    big[5 : 5 + s[0], 4 : 4 + s[1], 6 : 6 + s[2]] = jiggle(c.rng, s, o, 1)
    off = np.array([5, 4, 6])
    c.add_pred(562, "mito", big, vs, tr - off * vs)
    bs = blobs(c.rng, big.shape)
    bs[5 : 5 + s[0], 4 : 4 + s[1], 6 : 6 + s[2]] = speckle(c.rng, sem, 1, 20)
    c.add_pred(562, "er", bs, vs, tr - off * vs)


@case
def pred_smaller(c):
    """Same voxel size, smaller array placed inside the target."""
    s = (36, 36, 36)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    o = place(c.rng, s, 6, 3, 5, gap=3)
    c.add_truth(562, "mito", draw_all(s, o))
    sem = blobs(c.rng, s)
    c.add_truth(562, "er", sem)
    p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
    c.add_pred(562, "mito", p[4:30, 6:34, 2:28], vs, tr + np.array([4, 6, 2]) * vs)
    c.add_pred(562, "er", speckle(c.rng, sem, 1, 20)[:20, :25, :30], vs, tr)


@case
def pred_offset(c):
    """Same shape, translation off by whole voxels in both directions, and far off."""
    s = (36, 36, 36)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    for lab, d in (
        ("mito", (3, -2, 0)),
        ("ld", (-4, 0, 5)),
        ("ves", (200, 0, 0)),
        ("nuc", (0, -200, 0)),
        ("er", (1, 1, -1)),
    ):
        if lab == "er":
            t = blobs(c.rng, s)
            p = speckle(c.rng, t, 1, 20)
        else:
            o = place(c.rng, s, 4, 3, 5, gap=3)
            t, p = draw_all(s, o), draw_all(s, o, dtype=np.uint8)
        c.add_truth(562, lab, t)
        c.add_pred(562, lab, p, vs, tr + np.array(d) * vs)


@case
def half_voxel_offset(c):
    """Offsets on grids whose translation is not a multiple of the voxel size.

    558: translation / voxel = n + 0.5; 557: anisotropic; plus sub-voxel offsets.
    """
    s = (32, 32, 32)
    for crop, d, labs in (
        (558, 3, ("mito",)),
        (558, -3, ("ld",)),
        (558, 0.5, ("ves",)),
        (558, -0.5, ("nuc",)),
        (558, 1.25, ("er",)),
        (557, 3, ("mito",)),
        (557, -3, ("ld",)),
        (557, 1, ("ves",)),
        (557, -1, ("nuc",)),
        (559, 0.75, ("mito",)),
        (559, -0.75, ("ld",)),
    ):
        vs, tr = np.array(c.vs(crop)), np.array(c.tr(crop))
        for lab in labs:
            if lab == "er":
                t = blobs(c.rng, s)
            else:
                t = draw_all(s, place(c.rng, s, 3, 4, 6, gap=4))
            c.add_truth(crop, lab, t)
            c.add_pred(crop, lab, t.astype(np.uint8), vs, tr + d * vs)


@case
def no_voxel_size(c):
    """No attributes at all: equal shape, larger and smaller (centre pad/crop)."""
    s = (32, 32, 32)
    for lab, mode in (("mito", "same"), ("ld", "larger"), ("ves", "smaller"), ("er", "larger"), ("pm", "odd")):
        if lab in INSTANCE_LABELS:
            o = place(c.rng, s, 4, 3, 5, gap=4)
            t = draw_all(s, o)
            p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
        else:
            t = blobs(c.rng, s)
            p = speckle(c.rng, t, 1, 25)
        c.add_truth(562, lab, t)
        if mode == "larger":
            p = np.pad(p, 3)
        elif mode == "smaller":
            p = p[3:-3, 2:-2, 4:-4]
        elif mode == "odd":
            p = np.pad(p, ((2, 1), (0, 0), (0, 3)))[:, 3:-2, :]
        c.add_pred(562, lab, p, attrs={})


@case
def translation_only(c):
    """Translation but no voxel size: centre pad/crop and then the offset."""
    s = (32, 32, 32)
    tr = np.array(c.tr(562))
    for lab, d in (("mito", 0), ("ld", 16), ("er", -24)):
        if lab == "er":
            t = blobs(c.rng, s)
        else:
            t = draw_all(s, place(c.rng, s, 4, 3, 5, gap=4))
        c.add_truth(562, lab, t)
        p = np.pad(t, 2) if lab != "mito" else t
        c.add_pred(562, lab, p.astype(np.uint8), attrs={"translation": [float(x) for x in tr + d]})


@case
def attr_aliases(c):
    """resolution / scale instead of voxel_size and offset instead of translation."""
    s = (32, 32, 32)
    vs, tr = np.array(c.vs(562)), np.array(c.tr(562))
    for lab, keys in (
        ("mito", ("resolution", "offset")),
        ("ld", ("scale", "translation")),
        ("ves", ("pixelResolution", "offset")),
    ):
        o = place(c.rng, s, 4, 3, 5, gap=4)
        c.add_truth(562, lab, draw_all(s, o))
        p = up(jiggle(c.rng, s, o, 1, dtype=np.uint8))
        c.add_pred(562, lab, p, attrs={keys[0]: list(map(float, vs / 2)), keys[1]: list(map(float, tr + 2 * vs))})


@case
def touching_instances(c):
    """Objects that touch with distinct ids stay separate."""
    s = (36, 36, 36)
    t = np.zeros(s, np.uint16)
    b = [0] + sorted(int(x) for x in 6 + c.rng.permutation(24)[:4]) + [36]
    k = 1
    for i in range(5):
        for j in range(3):
            t[b[i] : b[i + 1], 12 * j : 12 * j + 12, 4:30] = k
            k += 1
    c.add_truth(562, "mito", t)
    p = t.astype(np.uint8)
    p[:, :, 26:] = 0
    p[:, :2, :] = 0
    c.add_pred(562, "mito", p)
    c.add_truth(562, "cell", t)
    c.add_pred(562, "cell", shift(t, (0, 2, 1)).astype(np.uint8))


@case
def same_id_disconnected(c):
    """One predicted id on several components, and diagonal contact (26-connected)."""
    s = (36, 36, 36)
    o = place(c.rng, s, 9, 2, 4, gap=3)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", (draw_all(s, o) > 0).astype(np.uint8))
    t = np.zeros(s, np.uint8)
    p = np.zeros(s, np.uint8)
    for k in range(4):
        a = 2 + 7 * k
        t[a : a + 7, a : a + 7, a : a + 7] = k + 1
        p[a : a + 7, a : a + 7, a : a + 7] = 1 if k < 2 else 2
    t[2:8, 24:30, 2:8] = 9
    p[2:5, 24:27, 2:5] = 5
    p[5:8, 27:30, 5:8] = 5
    c.add_truth(562, "ld", t)
    c.add_pred(562, "ld", p)


@case
def assignment_chain(c):
    """Greedy matching by best overlap loses here; the best total must win."""
    s = (20, 24, 60)
    t = np.zeros(s, np.uint8)
    p = np.zeros(s, np.uint8)
    e = int(c.rng.randint(0, 3))
    t[4:14, 4:14, 4:20] = 1
    t[4:14, 4:14, 20 : 34 + e] = 2
    p[4:14, 4:14, 10:27] = 1
    p[4:14, 4:14, 27:50] = 2
    t[4:14, 15:22, 4:16] = 3
    t[4:14, 15:22, 16:29] = 4
    t[4:14, 15:22, 29:45] = 5
    p[4:14, 15:22, 9 : 23 + e] = 3
    p[4:14, 15:22, 23 + e : 38] = 4
    c.add_truth(562, "mito", t)
    c.add_pred(562, "mito", p)


@case
def border_and_single_voxel(c):
    """Single voxels, hollow shells and objects cut by the border."""
    s = (30, 32, 34)
    t = np.zeros(s, np.uint8)
    p = np.zeros(s, np.uint8)
    t[0, 0, 0] = 1
    p[0, 0, 1] = 1
    p[0, 0, 0] = 1
    t[29, 31, 33] = 2
    t[15, 3, 3] = 3
    p[15, 3, 3] = 7
    draw_ellipsoid(t, (15, 16, 17), (8, 8, 8), 4)
    h = t == 4
    t[ndi.binary_erosion(h, iterations=2)] = 0
    p[h] = 4
    d = int(c.rng.randint(0, 3))
    draw_ellipsoid(t, (0, 31, 10), (6, 6, 5), 5)
    draw_ellipsoid(p, (d, 31 - d, 11), (6, 6, 5), 5)
    p[28:30, 0:2, 30:34] = 9
    c.add_truth(562, "mito", t)
    c.add_pred(562, "mito", p)


@case
def thin_tubes(c):
    """Long thin objects, partly predicted, so distances reach the cap."""
    s = (64, 40, 40)
    t = np.zeros(s, np.uint16)
    p = np.zeros(s, np.uint8)
    for k in range(10):
        y, x = 4 + 8 * (k % 5), 8 + 20 * (k // 5)
        a = int(c.rng.randint(1, 30))
        b = int(c.rng.randint(a + 3, 63))
        oy, ox = int(c.rng.randint(-1, 2)), int(c.rng.randint(-1, 2))
        t[1:63, y - 1 : y + 2, x - 1 : x + 2] = k + 1
        p[a:b, y - 1 + oy : y + 2 + oy, x - 1 + ox : x + 2 + ox] = k + 1
    c.add_truth(562, "mt", t)
    c.add_pred(562, "mt", p)


@case
def semantic_only(c):
    """No instance class anywhere: the instance score is 0, and so the overall."""
    s = (28, 28, 28)
    for lab in ("er", "pm"):
        t = blobs(c.rng, s)
        c.add_truth(562, lab, t)
        c.add_pred(562, lab, speckle(c.rng, t, 1, 20))


@case
def many_classes(c):
    """More than twenty classes in two crops, mixed quality, some missing."""
    s = (32, 32, 32)
    inst = ["mito", "nuc", "ves", "endo", "lyso", "ld", "perox", "np"]
    sem = [
        "er",
        "er_mem",
        "pm",
        "golgi",
        "golgi_mem",
        "cyto",
        "ecs",
        "ne",
        "chrom",
        "echrom",
        "hchrom",
        "mito_mem",
        "mito_lum",
        "eres",
        "nucpl",
        "ves_lum",
    ]
    for crop in (558, 562):
        for i, lab in enumerate(inst):
            o = place(c.rng, s, int(c.rng.randint(2, 6)), 2, 5, gap=3)
            c.add_truth(crop, lab, draw_all(s, o))
            if c.rng.randint(0, 8):
                drop = int(c.rng.randint(0, 2))
                c.add_pred(crop, lab, jiggle(c.rng, s, o[drop:], 1, dtype=np.uint8))
        for lab in sem:
            t = blobs(c.rng, s, 4, 3, 8)
            c.add_truth(crop, lab, t)
            if c.rng.randint(0, 8):
                c.add_pred(crop, lab, speckle(c.rng, t, 1, int(c.rng.randint(5, 40))))
    c.submission, c.packing = "submission.zip", "zip:"


@case
def multi_crop_pooling(c):
    """The same classes in three crops of different size and voxel size."""
    for crop, s, n, amount in ((557, (32, 32, 32), 5, 0), (559, (40, 36, 32), 8, 2), (562, (28, 28, 44), 3, 1)):
        o = place(c.rng, s, n, 3, 5, gap=2)
        c.add_truth(crop, "mito", draw_all(s, o))
        c.add_pred(crop, "mito", jiggle(c.rng, s, o, amount, dtype=np.uint8))
        t = blobs(c.rng, s)
        c.add_truth(crop, "er", t)
        c.add_pred(crop, "er", speckle(c.rng, t, amount, 20))
        c.add_truth(crop, "ld", draw_all(s, o))
        if crop != 559:
            c.add_pred(crop, "ld", jiggle(c.rng, s, o[1:], 1, dtype=np.uint8))


@case
def extra_content(c):
    """Crops and labels in the submission that the truth does not have."""
    s = (32, 32, 32)
    o = place(c.rng, s, 4, 3, 5, gap=3)
    c.add_truth(562, "mito", draw_all(s, o))
    p = jiggle(c.rng, s, o, 1, dtype=np.uint8)
    c.add_pred(562, "mito", p)
    c.add_pred(562, "nuc", p)
    c.add_pred(562, "not_a_class", p)
    c.add_pred(983, "nuc", p)


@case
def missing_zgroup(c):
    """No .zgroup files in the submission."""
    s = (32, 32, 32)
    o = place(c.rng, s, 4, 3, 5, gap=3)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", jiggle(c.rng, s, o, 1, dtype=np.uint8))
    c.zgroups = False
    c.submission, c.packing = "submission.zip", "zip:"


@case
def label_not_in_manifest(c):
    """A label is in truth and submission but not in the crop manifest."""
    s = (24, 24, 24)
    o = place(c.rng, s, 3, 3, 4)
    c.add_truth(562, "mito", draw_all(s, o))
    c.add_pred(562, "mito", draw_all(s, o, dtype=np.uint8))
    c.add_truth(562, "ld", draw_all(s, o), listed=False)
    c.add_pred(562, "ld", draw_all(s, o, dtype=np.uint8))


@case
def storage_variants(c):
    """Chunk separators, codecs, absent chunks, uneven chunk sizes."""
    s = (45, 33, 37)
    opts = {
        "mito": dict(sep="/"),
        "ld": dict(compressor="zlib", chunks=16),
        "ves": dict(compressor=None, chunks=20),
        "nuc": dict(skip_empty=True, chunks=8),
        "er": dict(sep="/", skip_empty=True, compressor="zlib"),
        "pm": dict(chunks=64, skip_empty=True, fill_value=1),
    }
    for lab, kw in opts.items():
        if lab in INSTANCE_LABELS:
            o = place(c.rng, s, 5, 3, 5, gap=3)
            t, p = draw_all(s, o), jiggle(c.rng, s, o, 1, dtype=np.uint8)
        else:
            t = blobs(c.rng, s)
            p = speckle(c.rng, t, 1, 20)
            if lab == "pm":
                p[:] = 1
        c.add_truth(562, lab, t, **kw)
        c.add_pred(562, lab, p, **kw)


@case
def timing_200(c):
    """A 200^3 crop with some dozens of objects and one semantic label (slow)."""
    s = (200, 200, 200)
    o = place(c.rng, s, 36, 8, 18, gap=3)
    c.add_truth(561, "mito", draw_all(s, o))
    c.add_pred(561, "mito", jiggle(c.rng, s, o[:32], 2, dtype=np.uint8))
    t = blobs(c.rng, s, 30, 10, 30)
    c.add_truth(561, "er", t)
    c.add_pred(561, "er", shift(t, (1, 2, -1)))
    c.tags.add("slow")


# --------------------------------------------------------------------------
def build(kind, seed):
    c = Case(kind, seed)
    fn = KINDS[kind]
    c.description = fn.__doc__ or ""
    fn(c)
    return c


def main(argv=None, kinds=None, seeds=SEEDS):
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("out", nargs="?")
    ap.add_argument("kind", nargs="*")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--no-slow", action="store_true")
    a = ap.parse_args(argv)
    names = list(kinds or KINDS)
    if a.list:
        for k in names:
            print(f"{k:26s}{' '.join((KINDS[k].__doc__ or '').split())}")
        return 0
    if not a.out:
        ap.error("OUT is needed")
    for k in a.kind or names:
        for seed in seeds:
            c = build(k, seed)
            if a.no_slow and "slow" in c.tags:
                continue
            print(c.write(a.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
