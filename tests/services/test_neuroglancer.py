"""Links to neuroglancer and the server behind them."""

import json
import os
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest

from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.neuroglancer import (
    bucket_url,
    local_layers,
    public_layers,
    viewer_link,
    viewer_state,
)
from cellmap_tui.services.volume_server import VolumeServer, file_of
from cellmap_tui.volumes.write import write_array, write_multiscale

CATALOG = builtin_catalog()
GRID = Grid((8.0, 4.0, 4.0), (100.0, 20.0, 20.0), (16, 32, 32))
CROP = Crop(7, "cell", "train", GRID, ("mito", "nuc"), source="demo")


@pytest.fixture
def root(tmp_path):
    write_multiscale(tmp_path / crop_em_path(CROP), np.full(GRID.shape, 100, np.uint8), GRID)
    write_multiscale(tmp_path / label_path(CROP, "mito"), np.ones(GRID.shape, np.uint8), GRID, kind="label")
    write_array(tmp_path / "predictions" / "cell.zarr" / "crop7" / "mito", np.ones(GRID.shape, np.float32), GRID)
    write_array(tmp_path / "processed" / "cell.zarr" / "crop7" / "mito", np.ones(GRID.shape, np.uint16), GRID)
    return tmp_path


def places(root):
    return {kind: str(root / kind) for kind in ("predictions", "processed")}


def test_a_published_crop_has_a_link_that_the_browser_alone_can_follow():
    crop = CATALOG.find("234")
    layers = public_layers(crop, ["mito"], CATALOG.classes)
    base = bucket_url("janelia-cosem-datasets", None)
    state = viewer_state(crop, layers, lambda layer: f"{base}/{layer.place}")
    link = viewer_link(state)
    assert json.loads(unquote(link.partition("#!")[2])) == state
    assert [layer["source"] for layer in state["layers"]] == [
        f"zarr://https://janelia-cosem-datasets.s3.amazonaws.com/{path}"
        for path in (crop_em_path(crop), label_path(crop, "mito"))
    ]
    middle = [t + s * (n // 2) for t, s, n in zip(*_of(crop.grid), strict=True)]
    assert state["position"] == middle[::-1]
    assert list(state["dimensions"]) == ["x", "y", "z"]


def _of(grid):
    return grid.translation_nm, grid.voxel_size_nm, grid.shape


def test_without_a_class_all_ids_are_shown_and_a_test_crop_has_none():
    names = [layer.place.rpartition("/")[2] for layer in public_layers(CATALOG.find("234"), [], CATALOG.classes)]
    assert names[1:] == ["all"]
    test_crop = next(crop for crop in CATALOG.crops if crop.split == "test")
    assert len(public_layers(test_crop, [], CATALOG.classes)) == 1


def test_a_crop_that_is_not_published_and_a_class_that_is_not_annotated_are_told():
    with pytest.raises(RequestError, match=r"not in the bucket.*--serve"):
        public_layers(CROP, [], CATALOG.classes)
    with pytest.raises(RequestError, match="not annotated for"):
        public_layers(CATALOG.find("234"), ["nothing"], CATALOG.classes)


def test_a_crop_of_a_given_manifest_has_a_link_only_where_a_bucket_will_have_it():
    listed = replace(CROP, source="manifest")
    with pytest.raises(RequestError, match=r"not one of the published crops.*--serve.*--endpoint-url"):
        public_layers(listed, ["mito"], CATALOG.classes)
    assert len(public_layers(listed, ["mito"], CATALOG.classes, is_own_bucket=True)) == 2
    assert len(public_layers(replace(CATALOG.find("234"), source="manifest"), ["mito"], CATALOG.classes)) == 2


def test_a_folder_in_place_of_a_bucket_is_nothing_that_a_browser_reads():
    assert bucket_url("cells", "https://s3.here/") == "https://s3.here/cells"
    with pytest.raises(RequestError, match=r"no browser reads /data/bucket.*--serve"):
        bucket_url("cells", "/data/bucket")


def test_probabilities_are_an_image_and_ids_a_segmentation_placed_by_their_corner(root):
    kinds = ("gt", "predictions", "processed")
    layers = local_layers(CROP, root, kinds, ["mito"], places(root), CATALOG.classes)
    state = viewer_state(CROP, layers, lambda layer: "http://x")
    shown = {layer["name"]: layer for layer in state["layers"]}
    assert {name: layer["type"] for name, layer in shown.items()} == {
        "em": "image",
        "mito truth": "segmentation",
        "mito predictions": "image",
        "mito processed": "segmentation",
    }
    transform = shown["mito processed"]["source"]["transform"]
    assert transform["outputDimensions"] == {"z": [8e-9, "m"], "y": [4e-9, "m"], "x": [4e-9, "m"]}
    assert [row[3] for row in transform["matrix"]] == [12.0, 4.5, 4.5]
    assert shown["mito truth"]["source"] == "zarr://http://x"


def test_what_is_not_on_disk_is_told(root):
    with pytest.raises(MissingDataError, match="has no predictions of nuc"):
        local_layers(CROP, root, ("predictions",), ["nuc"], places(root), CATALOG.classes)
    elsewhere = Crop(8, "other", "train", GRID, ())
    with pytest.raises(MissingDataError, match="EM of other/crop8"):
        local_layers(elsewhere, root, ("gt",), [], places(root), CATALOG.classes)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "volume" / "0").mkdir(parents=True)
    (tmp_path / "volume" / ".zarray").write_text("{}")
    (tmp_path / "volume" / "0" / "0").write_bytes(bytes(range(100)))
    (tmp_path / "volume" / ".secret").write_text("no")
    (tmp_path / "outside.txt").write_text("no")
    (tmp_path / "volume" / "link").symlink_to(tmp_path / "outside.txt")
    (tmp_path / "volume" / "inner").symlink_to(tmp_path / "volume" / "0")
    os.mkfifo(tmp_path / "volume" / "pipe")
    with VolumeServer({"em": tmp_path / "volume"}) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(url, method="GET", **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=10) as got:
            return got.status, got.read(), dict(got.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_chunks_metadata_and_ranges_are_served_to_any_page(server):
    url = server.url_of("em")
    assert url.startswith("http://127.0.0.1:")
    status, content, headers = ask(f"{url}/0/0")
    assert (status, content, headers["Access-Control-Allow-Origin"]) == (200, bytes(range(100)), "*")
    assert ask(f"{url}/.zarray")[1] == b"{}"
    assert ask(f"{url}/inner/0")[0] == 200
    status, content, headers = ask(f"{url}/0/0", Range="bytes=10-19")
    assert (status, content, headers["Content-Range"]) == (206, bytes(range(10, 20)), "bytes 10-19/100")
    assert ask(f"{url}/0/0", Range="bytes=-5")[1] == bytes(range(95, 100))
    assert ask(f"{url}/0/0", Range="bytes=200-")[0] == 416
    status, content, headers = ask(f"{url}/0/0", "HEAD")
    assert (status, content, headers["Content-Length"]) == (200, b"", "100")
    status, _, headers = ask(f"{url}/0/0", "OPTIONS")
    assert (status, headers["Access-Control-Allow-Private-Network"]) == (204, "true")


@pytest.mark.parametrize(
    "path",
    [
        "em/../outside.txt",
        "em/%2e%2e/outside.txt",
        "em/..%2foutside.txt",
        "em/0/..%5c..%5coutside.txt",
        "em//0/0",
        "em/./0/0",
        "em/link",
        "em/.secret",
        "em/pipe",
        "em/0",
        "em",
        "em/",
        "other/0/0",
        "em/0/0%00",
        "",
    ],
)
def test_nothing_else_is_served(server, path):
    status, content, _ = ask(f"http://127.0.0.1:{server.port}/{server.token}/{path}")
    assert (status, content) == (404, b"")


def test_without_the_token_nothing_is_served(server):
    assert ask(f"http://127.0.0.1:{server.port}/em/0/0")[0] == 404
    other = server.token[:-1] + ("y" if server.token.endswith("x") else "x")
    assert ask(f"http://127.0.0.1:{server.port}/{other}/em/0/0")[0] == 404
    assert file_of("/", server.token, server.roots) is None


def test_a_port_that_is_taken_or_none_is_told(server, tmp_path):
    with pytest.raises(RequestError, match="cannot listen"):
        VolumeServer({"em": tmp_path}, port=server.port)
    with pytest.raises(RequestError, match="port 70000"):
        VolumeServer({"em": tmp_path}, port=70_000)
