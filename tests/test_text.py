from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui import text


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 k"),
        (1.9e9, "1.9 G"),
        (37e9, "37.0 G"),
        (1.2e12, "1.2 T"),
        (999_960, "1.0 M"),
    ],
)
def test_sizes_read_in_powers_of_1000(size_bytes, words):
    assert text.size(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (12_120, "3 h 22 min"), (187_200, "2 d 4 h"), (-3, "0 s")],
)
def test_durations_name_their_two_largest_units(seconds, words):
    assert text.duration(seconds) == words


def test_counts_are_grouped_by_spaces():
    assert text.count(11786) == "11 786"


def test_an_isotropic_voxel_size_is_one_number_and_an_anisotropic_one_three():
    assert text.voxel((4.0, 4.0, 4.0)) == "4"
    assert text.voxel((5.24, 4.0, 4.0)) == "5.24×4×4"


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_cut_name_fits_and_keeps_both_ends(name, width):
    cut = text.cut_middle(name, width)
    assert len(cut) <= width
    if len(name) > width >= 3:
        assert cut[0] == name[0]
        assert cut[-1] == name[-1]


def test_a_short_name_is_not_cut():
    assert text.cut_middle("jrc_hela-2", 10) == "jrc_hela-2"
    assert text.cut_middle("jrc_mus-liver-zon-1", 13) == "jrc_mu…-zon-1"


@given(st.text())
def test_printable_text_holds_no_control_or_direction_characters(raw):
    shown = text.printable(raw)
    assert len(shown) == len(raw)
    assert not any(unicodedata.category(c) in {"Cc", "Cf"} for c in shown)


def test_a_mistyped_name_finds_its_neighbour_and_nonsense_finds_none():
    assert text.nearest("mtio", ["mito", "nuc"]) == "mito"
    assert text.nearest("xyzzy", ["mito", "nuc"]) == ""
