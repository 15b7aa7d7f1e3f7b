"""`cellmap-tui visualize` as it is typed."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.cli.half_blocks import colours_of, picture_lines
from cellmap_tui.volumes.write import write_array, write_multiscale

GRID = Grid((4.0,) * 3, (40.0,) * 3, (20, 50, 60))


@pytest.fixture
def root(tmp_path):
    crops = [Crop(number, "cell", "train", GRID, ("mito",), source="demo") for number in (7, 8)]
    mito = np.zeros(GRID.shape, np.uint16)
    mito[5:9, 10:20, 10:20] = 3
    for crop in crops:
        write_multiscale(
            tmp_path / "data" / crop_em_path(crop), np.full(GRID.shape, 100, np.uint8), GRID, overwrite=True
        )
        write_multiscale(tmp_path / "data" / label_path(crop, "mito"), mito, GRID, kind="label")
    write_array(tmp_path / "out" / "crop7" / "mito", np.roll(mito, 4, axis=2), GRID)
    add_local_crops(tmp_path / "data", crops)
    return tmp_path / "data"


def test_panels_of_truth_prediction_and_errors_at_an_object_with_a_legend(cellmap, root, tmp_path):
    answer = cellmap(
        "--data-root", root, "--json", "visualize", "cell/7", "-C", "mito", "-k", "gt,predictions", "-k", "error",
        "--predictions", tmp_path / "out", "--panels", "--at", "mito 3", "-o", tmp_path / "{dataset}-{crop}.png",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    [told] = answer.document
    assert told["path"] == str(tmp_path / "cell-crop7.png")
    assert told["voxel"][0] in range(5, 9)
    assert told["classes"] == ["mito", "TP right", "FP hallucinated", "FN missed"]
    assert "Dice 0.6" in answer.err
    with Image.open(tmp_path / "cell-crop7.png") as picture:
        assert picture.size[0] == 3 * 266 + 2 * 4
        assert picture.size[1] > 222


@pytest.mark.parametrize("width", ["0", "-5"])
def test_a_picture_has_a_pixel_at_least(cellmap, root, tmp_path, width):
    answer = cellmap("--data-root", root, "visualize", "cell/7", "--width", width, "-o", tmp_path / "a.png")
    assert answer.code == 2
    assert f"a width of {width} pixels" in answer.err
    assert not (tmp_path / "a.png").exists()


def test_every_local_crop_of_a_dataset_is_drawn_and_what_cannot_be_is_told(cellmap, root, tmp_path):
    words = ["-d", "cell", "-c", "*", "-k", "predictions", "--predictions", tmp_path / "out"]
    answer = cellmap("--data-root", root, "visualize", *words, "-o", tmp_path / "{crop}.png")
    assert answer.code == 1
    assert "warning" in answer.err
    assert "no prediction of cell/crop8" in answer.err
    assert (tmp_path / "crop7.png").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-k", "predicted"], "did you mean prediction"),
        (["-d", "cel"], "did you mean"),
        (["--at", "1 2 99"], "outside cell/crop7"),
        (["--position", "1", "2", "3"], "outside the crop"),
        (["--opacity", "3"], "opacity"),
        (["--threshold", "nan"], "a threshold of nan"),
        (["--neuroglancer"], "--serve"),
        (["--neuroglancer", "--serve", "--port", "99999"], "port 99999"),
    ],
)
def test_a_wrong_request_says_what_to_do(cellmap, root, tmp_path, words, part):
    answer = cellmap("--data-root", root, "visualize", "cell/7", *words, "-o", tmp_path / "x.png")
    assert answer.code == 2
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_a_link_to_a_published_crop_needs_no_data_and_opens_nothing(cellmap, tmp_path):
    answer = cellmap("--data-root", tmp_path, "visualize", "234", "-C", "mito", "--neuroglancer", BROWSER="false")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("https://neuroglancer-demo.appspot.com/#!%7B")
    assert "crop234%2Fmito" in answer.out


def test_a_server_says_where_it_is_and_how_to_reach_it_and_ends_when_told(environ, root, tmp_path):
    words = ["--data-root", str(root), "--json", "visualize", "cell/7", "--neuroglancer", "--serve"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cellmap_tui", *words],
        env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        told = json.loads(process.stdout.readline())
        source = told["state"]["layers"][0]["source"].removeprefix("zarr://")
        with urllib.request.urlopen(f"{source}/.zattrs", timeout=10) as answer:
            assert "multiscales" in json.load(answer)
        assert told["tunnel"].startswith(f"ssh -N -L {told['port']}:127.0.0.1:{told['port']} ")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "the server has ended" in err
    finally:
        process.kill()


def in_terminal(environ, words, tmp_path):
    """Run on a pseudo-terminal and return what it showed."""
    master, slave = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "cellmap_tui", *map(str, words)],
        env=environ, cwd=tmp_path, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert done.wait(20) == 0
    return shown.decode()


@pytest.mark.parametrize(
    ("variables", "pattern"),
    [
        ({"COLORTERM": "truecolor"}, r"\x1b\[38;2;\d+;\d+;\d+;48;2;"),
        ({"COLORTERM": "", "TERM": "tmux-256color"}, r"\x1b\[38;5;\d+;48;5;\d+m"),
        ({"NO_COLOR": "1"}, r"^[^\x1b]*mito"),
    ],
)
def test_the_terminal_gets_the_colours_that_it_has(environ, root, tmp_path, variables, pattern):
    clean = {name: value for name, value in environ.items() if name not in {"COLORTERM", "NO_COLOR"}}
    words = ["--data-root", root, "visualize", "cell/7", "--at", "mito"]
    shown = in_terminal({**clean, "TERM": "xterm-256color", **variables}, words, tmp_path)
    assert re.search(pattern, shown)
    assert "mito" in shown


def test_256_colours_are_the_nearest_of_the_cube_and_the_greys():
    rgb = np.array([[[255, 0, 0], [8, 8, 8], [128, 128, 128], [95, 135, 175]]] * 2, np.uint8)
    [line] = picture_lines(rgb, "256")
    assert re.findall(r"38;5;(\d+);48;5;\1m", line) == ["196", "232", "244", "67"]


def test_equal_neighbours_name_their_colour_once():
    [line] = picture_lines(np.zeros((2, 50, 3), np.uint8), "true")
    assert line.count("\x1b[38") == 1
    assert line.count("▀") == 50


def test_colours_are_taken_from_the_environment():
    assert colours_of({"COLORTERM": "truecolor"}) == "true"
    assert colours_of({"TERM": "screen-256color"}) == "256"
    assert colours_of({"COLORTERM": "truecolor", "NO_COLOR": "1"}) == "none"


@pytest.mark.parametrize(("name", "code"), [("split.csv", 2), ("kept.png", 3)])
def test_a_picture_replaces_no_file_that_is_none(cellmap, root, tmp_path, name, code):
    (tmp_path / name).write_text("precious")
    answer = cellmap("--data-root", root, "visualize", "cell/7", "-o", tmp_path / name)
    assert (answer.code, (tmp_path / name).read_text()) == (code, "precious")
    assert "PNG" in answer.err
