"""Lines that name only colours that change show what Textual's own lines show."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.strip import Strip

from cellmap_tui.app.widgets.half_cells import half_cells, with_letters
from cellmap_tui.app.widgets.lean_strip import CellStyle, lean, lean_filters, lean_strips

SYSTEMS = [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD]
PICTURES = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (6, 30, 3)) * 90)


def shown(text):
    """Return what a terminal shows: a character with the colours of its text and ground in each cell."""
    cells, state = [], {"fore": "", "back": "", "bold": False}
    for sequence, character in re.findall(r"\x1b\[([\d;]*)m|(.)", text):
        if character:
            visible = state["fore"] if character != " " else None
            cells.append((character, visible, state["back"], state["bold"]))
            continue
        codes = sequence.split(";")
        while codes:
            code = int(codes.pop(0) or 0)
            if code == 0:
                state = {"fore": "", "back": "", "bold": False}
            elif code == 1:
                state["bold"] = True
            elif code in (38, 48):
                count = 4 if codes[0] == "2" else 2
                state["fore" if code == 38 else "back"], codes = codes[:count], codes[count:]
            elif 30 <= code < 38 or 90 <= code < 98:
                state["fore"] = code
            elif 40 <= code < 48 or 100 <= code < 108:
                state["back"] = code
    return cells


def as_textual(segments, system):
    return "".join(text if style is None else Strip.render_style(style, text, system) for text, style, _ in segments)


def plain(segments):
    return [
        Segment(text, Style(color=style.color, bgcolor=style.bgcolor) if type(style) is CellStyle else style)
        for text, style, _ in segments
    ]


@pytest.mark.parametrize("system", SYSTEMS)
@settings(deadline=None, max_examples=40)
@given(rgb=PICTURES, column=st.integers(0, 29))
def test_a_terminal_shows_the_same_cells(system, rgb, column):
    for strip in half_cells(rgb.astype(np.uint8)):
        strip = with_letters(strip, [(column, "+")], Style(color="white", bgcolor="black", bold=True))
        strip = Strip.join([Strip.blank(2, Style(bgcolor="#102030")), strip, Strip.blank(3)])
        assert shown(lean(strip._segments, system)) == shown(as_textual(plain(strip._segments), system))


def test_a_line_of_many_colours_is_written_with_a_tenth_fewer_bytes_and_one_of_few_with_far_fewer():
    rng = np.random.default_rng(0)
    for levels, most in ((256, 0.92), (3, 0.75)):
        greys = (rng.integers(0, levels, (2, 80, 1)) * (255 // (levels - 1))).repeat(3, 2)
        (strip,) = half_cells(greys.astype(np.uint8))
        full = as_textual(plain(strip._segments), ColorSystem.TRUECOLOR)
        assert len(lean(strip._segments, ColorSystem.TRUECOLOR)) < most * len(full)


def test_colours_at_rest_are_rounded_so_little_that_nobody_sees_it_and_black_and_white_stay():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(2, 0)
    (strip,) = half_cells(ramp, step=4)
    greys = [s.style.color.triplet.red for s in strip._segments for _ in s.text]
    assert (greys[0], greys[-1]) == (0, 255)
    assert max(abs(grey - wanted) for grey, wanted in enumerate(greys)) <= 2


def test_filters_of_the_terminals_own_colours_change_letters_and_spare_cells():
    (strip,) = half_cells(np.full((2, 4, 3), 77, np.uint8))
    strip = with_letters(strip, [(1, "+")], Style(color="white", bgcolor="black"))
    (inner,) = lean_filters([ANSIToTruecolor(DEFAULT_TERMINAL_THEME)])
    (found,) = lean_strips([strip.apply_filter(inner, Color(0, 0, 0))])
    assert [type(segment.style) is CellStyle for segment in found] == [True, False, True]
    assert found._segments[1].style.color.triplet is not None


def test_a_style_of_a_cell_is_a_style_like_any_other():
    style, like = CellStyle(0x102030, 0x405060), Style(color="#102030", bgcolor="#405060")
    assert (style, hash(style), str(style)) == (like, hash(like), str(like))
    assert style + Style(bold=True) == like + Style(bold=True)
    assert style.without_color == like.without_color
