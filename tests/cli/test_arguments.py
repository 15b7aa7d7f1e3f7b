from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.cli.arguments import hoist, join_numbers, triple, truthy, with_hyphens
from cellmap_tui.cli.context import Parser
from cellmap_tui.errors import RequestError


def test_underscores_in_long_flags_are_hyphens_and_values_keep_theirs():
    words = with_hyphens(["import", "--voxel_size=a_b", "--raw", "my_file.tif", "--", "--as_is"])
    assert words == ["import", "--voxel-size=a_b", "--raw", "my_file.tif", "--", "--as_is"]


def test_short_flags_with_one_hyphen_keep_their_underscores():
    assert with_hyphens(["-a_b"]) == ["-a_b"]


@pytest.mark.parametrize("given_words", [["-s", "8", "8", "8"], ["-s", "8,8,8"], ["-s", "8"]])
def test_a_scale_never_swallows_what_follows(given_words):
    joined = join_numbers([*given_words, "mine.csv"], {"-s": 3})
    assert joined[-1] == "mine.csv"
    assert len(joined) == 2
    assert triple(joined[0].partition("=")[2]) == (8, 8, 8)


def test_negative_numbers_are_values_not_flags():
    assert join_numbers(["--translation", "-100", "0", "-2.5", "--crop", "1"], {"--translation": 3}) == [
        "--translation=-100,0,-2.5",
        "--crop",
        "1",
    ]


def test_at_most_the_stated_number_of_values_is_taken():
    assert join_numbers(["-s", "8", "8", "8", "234"], {"-s": 3}) == ["-s=8,8,8", "234"]


def test_global_options_may_stand_before_or_after_the_command():
    before = hoist(["--json", "--data-root", "/d", "crops", "mito"], {"--json"}, {"--data-root"})
    after = hoist(["crops", "mito", "--data-root=/d", "--json"], {"--json"}, {"--data-root"})
    assert sorted(before[0]) == sorted(after[0]) == ["--data-root=/d", "--json"]
    assert before[1] == after[1] == ["crops", "mito"]


def test_words_after_two_hyphens_are_left_alone():
    assert hoist(["crops", "--", "--json"], {"--json"}, set()) == ([], ["crops", "--", "--json"])


def test_a_global_option_without_its_value_is_an_error():
    with pytest.raises(RequestError, match="--data-root needs a value"):
        hoist(["crops", "--data-root"], set(), {"--data-root"})


@pytest.mark.parametrize("text", ["8", "8,8,8", "8 8 8", "[8;8;8]", "8x8x8", "8×8×8"])
def test_a_triple_reads_all_its_spellings(text):
    assert triple(text) == (8.0, 8.0, 8.0)


def test_an_option_that_is_no_triple_says_what_is_wanted():
    parser = Parser(prog="cellmap-tui export")
    parser.add_argument("-s", type=triple)
    with pytest.raises(RequestError, match="'8,8': three numbers z,y,x are wanted, as 8,8,8, or one for all three"):
        parser.parse_args(["-s", "8,8"])


@given(st.text(max_size=20))
def test_any_other_text_is_an_error_of_the_request(text):
    try:
        values = triple(text)
    except RequestError:
        return
    assert len(values) == 3


@pytest.mark.parametrize(
    ("text", "on"),
    [(None, False), ("", False), ("0", False), ("No", False), ("off", False), ("1", True), ("yes", True)],
)
def test_switches_in_the_environment(text, on):
    assert truthy(text) is on
