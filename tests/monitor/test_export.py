"""Charts as files: CSV, JSON, SVG, PNG."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.monitor.chart_layout import WIDTH, lay_out
from cellmap_tui.monitor.curves import Axis, curve
from cellmap_tui.monitor.export import KINDS, ViewData, export_view
from cellmap_tui.monitor.picture import SCALE, to_png, to_svg
from cellmap_tui.monitor.points import make_points

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def view(
    values: list[float] | None = None, name: str = "loss", *, smoothing: float = 0.5, log_y: bool = False
) -> ViewData:
    values = [1.0, 0.5, math.nan, 0.25] if values is None else values
    line = curve(make_points(range(len(values)), values), "step", smoothing)
    return ViewData("loss", "step", log_y, ((name, 0, line),))


def test_a_csv_has_a_row_a_point_and_broken_values_are_empty(tmp_path: Path) -> None:
    export_view(view(), tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["value"] for row in rows] == ["1", "0.5", "", "0.25"]
    assert rows[0]["line"] == "loss"
    assert float(rows[1]["smoothed"]) == pytest.approx(2 / 3)


def test_numbers_of_a_csv_are_to_the_last_figure_those_of_the_log(tmp_path: Path) -> None:
    values, times = [1.618240356445312, 1e-300, 0.1 + 0.2], [1795379007.123, 1795379007.654, 1795379008.002]
    line = curve(make_points(range(3), values, time_s=times), "time", 0.0)
    export_view(ViewData("loss", "time", False, (("loss", 0, line),)), tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [float(row["value"]) for row in rows] == values
    assert [float(row["time"]) for row in rows] == times


def test_a_json_has_everything_and_broken_values_are_null(tmp_path: Path) -> None:
    export_view(view(), tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["axis"] == "step"
    assert document["lines"][0]["value"] == [1.0, 0.5, None, 0.25]


def test_an_svg_breaks_its_line_where_a_value_is_broken(tmp_path: Path) -> None:
    export_view(view(smoothing=0.0), tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert len([path for path in root.iter(f"{SVG}path") if path.get("stroke-width") == "1.6"]) == 2


def test_names_with_markup_and_escape_bytes_are_text_in_an_svg(tmp_path: Path) -> None:
    export_view(view(name='<b>"&\x1b[31m'), tmp_path / "a.svg")
    texts = [text.text for text in ElementTree.parse(tmp_path / "a.svg").getroot().iter(f"{SVG}text")]
    assert '<b>"&·[31m' in texts


def test_a_png_is_a_picture_with_the_lines_colour(tmp_path: Path) -> None:
    export_view(view(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] == WIDTH * SCALE
        colours = {colour for _, colour in image.convert("RGB").getcolors(1_000_000)}
    assert (0xB8, 0x7A, 0x00) in colours


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm() -> None:
    layout = lay_out(view([10.0, 0.0, -1.0, 1000.0], smoothing=0.0, log_y=True))
    assert [len(piece) for piece in layout.lines[0].pieces] == [1, 1]
    assert [label for _, label in layout.y_ticks if label in {"10", "100", "1000"}] == ["10", "100", "1000"]


def test_a_million_points_make_a_small_picture() -> None:
    values = np.sin(np.arange(1_000_000) / 1e4)
    line = curve(make_points(range(1_000_000), values), "step")
    layout = lay_out(ViewData("many", "step", False, (("sine", 0, line),)))
    assert sum(len(piece) for piece in layout.lines[0].pieces) < 4 * WIDTH
    assert len(to_svg(layout)) < 100_000


def test_names_at_the_lines_ends_do_not_stand_on_each_other() -> None:
    line = curve(make_points([0, 1], [1.0, 2.0]), "step")
    layout = lay_out(ViewData("same", "step", False, tuple((f"class{n}", n, line) for n in range(8))))
    places = sorted(drawn.end_y for drawn in layout.lines)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 14


def test_an_unknown_ending_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        export_view(view(), tmp_path / "a.pdf")
    assert ".svg" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot write"):
        export_view(view(), tmp_path / "nowhere" / "a.csv")


def test_nothing_measured_is_still_a_file(tmp_path: Path) -> None:
    for kind in KINDS:
        export_view(ViewData("nothing", "epoch", True, ()), tmp_path / f"a.{kind}")
        export_view(view([math.nan]), tmp_path / f"b.{kind}")
        assert (tmp_path / f"b.{kind}").stat().st_size > 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(width=32), max_size=50), st.sampled_from(["step", "epoch", "time", "elapsed"]), st.booleans()
)
def test_any_numbers_can_be_drawn(values: list[float], axis: Axis, log_y: bool) -> None:
    points = make_points(range(len(values)), values, epoch=values, time_s=[abs(value) for value in values])
    layout = lay_out(ViewData("any", axis, log_y, (("x", 11, curve(points, "step", 0.9)),)))
    ElementTree.fromstring(to_svg(layout))
    assert to_png(layout)[:4] == b"\x89PNG"
