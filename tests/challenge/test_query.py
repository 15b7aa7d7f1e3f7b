from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cellmap_tui.challenge.catalog import Catalog, builtin_catalog
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.query import FilterError, parse_query
from cellmap_tui.errors import RequestError, UnknownNameError
from tests.challenge.factories import attempt, make_crop, make_grid

CATALOG = builtin_catalog()
TEXT = """
mito nuc cell -mito hela,cos7 jrc_hela-2 dataset:hela dataset=jrc_mus-liver class=mito class:nuc,er split:test train
all test 234 234,236-250 crop:28 id:28 jrc_hela-2/28 voxel<=4 voxel>2 voxel=1.74,2,2 shape>=200 local remote
excluded source:import not mitochondria vacuole -voxel<4 mito,local,28
"""
WORDS = st.sampled_from(TEXT.split())


def kept(text, **options):
    return [crop for crop in CATALOG.crops if CATALOG.query(text, **options).matches(crop)]


def rows(text, **options):
    annotations = CATALOG.annotations()
    return [annotations[index] for index in CATALOG.query(text, **options).filter_annotations(annotations)]


def test_words_are_joined_by_and():
    crops = kept("mito dataset:hela voxel<=4 split:train")
    assert crops
    for crop in crops:
        assert {"mito", "mito_mem", "mito_lum", "mito_ribo"} & set(crop.classes)
        assert "hela" in crop.dataset
        assert max(crop.grid.voxel_size_nm) <= 4
        assert crop.split == "train"


def test_commas_are_or():
    assert {crop.dataset for crop in kept("hela,cos7")} == {"jrc_hela-2", "jrc_hela-3", "jrc_cos7-1a", "jrc_cos7-1b"}
    assert len(kept("dataset:hela,cos7")) == len(kept("hela,cos7"))


def test_a_group_includes_its_members_and_equals_does_not():
    assert {row.class_name for row in rows("mito")} == {"mito", "mito_mem", "mito_lum", "mito_ribo"}
    assert {row.class_name for row in rows("class:mito")} == {"mito", "mito_mem", "mito_lum", "mito_ribo"}
    assert {row.class_name for row in rows("class=mito")} == {"mito"}


def test_a_class_goes_before_part_of_a_dataset_name():
    assert {row.class_name for row in rows("er")} >= {"er", "er_mem"}
    assert len(kept("dataset:er")) != len(kept("er"))


def test_long_names_and_aliases_are_classes():
    assert kept("mitochondria") == kept("mito")
    assert str(CATALOG.query("vacuole_mem")) == "class:vac_mem"


def test_equals_names_one_dataset():
    assert {crop.dataset for crop in kept("dataset=jrc_mus-liver")} == {"jrc_mus-liver"}
    assert len({crop.dataset for crop in kept("dataset:jrc_mus-liver")}) == 4


def test_negation_leaves_out():
    assert {crop.split for crop in kept("-test")} == {"train"}
    assert kept("not test") == kept("-test") == kept("split:train")
    assert kept("not -test") == kept("test")
    assert not any(row.class_name.startswith("mito") for row in rows("-mito"))


def test_numbers_name_crops():
    assert [crop.id for crop in kept("234")] == [234]
    assert [crop.id for crop in kept("crop234")] == [234]
    assert sorted(crop.id for crop in kept("id:234,236-240")) == [234, 236, 237, 238, 239, 240]
    assert [crop.ref for crop in kept("jrc_hela-2/28")] == ["jrc_hela-2/crop28"]


def test_a_number_in_a_dataset_name_is_part_of_it_when_no_crop_has_it():
    assert {crop.dataset for crop in kept("1413")} == {"jrc_ut21-1413-003"}


@pytest.mark.parametrize("text", ["voxel<=4", "voxel <= 4", "VOXEL<=4nm", "voxel=<4", "voxel<=4x4x4", "voxel<=4,4,4"])
def test_a_comparison_holds_on_every_axis(text):
    assert all(max(crop.grid.voxel_size_nm) <= 4 for crop in kept(text))
    assert len(kept(text)) == len(kept("voxel<=4")) > 200


def test_other_comparisons():
    assert {crop.grid.voxel_size_nm for crop in kept("voxel=1.74x2x2")} == {(1.74, 2.0, 2.0)}
    assert all(min(crop.grid.voxel_size_nm) > 8 for crop in kept("voxel>8"))
    assert all(min(crop.grid.shape) >= 600 for crop in kept("shape>=600"))


def test_local_remote_and_excluded_ask_the_caller():
    query = CATALOG.query("local -excluded")
    here, excluded = CATALOG.find("28"), CATALOG.find("234")
    assert query.asks_local
    assert query.asks_excluded
    assert query.matches(here, lambda crop: crop is here)
    assert not query.matches(excluded, lambda _: True, lambda crop: crop is excluded)
    assert CATALOG.query("remote").matches(here)


def test_geometry_of_single_classes_is_respected():
    crop = make_crop(1, classes=("nuc", "mito"), class_grids=(("nuc", make_grid(32)),))
    catalog = Catalog(builtin_classes(), [crop])
    query = catalog.query("voxel<=8")
    assert query.passing_classes(crop) == {"mito"}
    assert query.matches(crop)
    assert [query.matches_annotation(a) for a in crop.annotations()] == [False, True]


def test_classes_and_datasets_of_imported_crops_can_be_named():
    catalog = Catalog(builtin_classes(), [make_crop(1, "Mine", ("myelin",))])
    assert catalog.query("myelin mine").matches(catalog.crops[0])


@pytest.mark.parametrize(
    ("text", "word", "start", "remedy"),
    [
        ("mtio", "mtio", 0, "did you mean 'mito'?"),
        ("nuc mtio", "mtio", 4, "did you mean 'mito'?"),
        ("mito datset:hela", "datset", 5, "did you mean 'dataset'?"),
        ("dataset:hella", "hella", 8, "did you mean 'hela'?"),
        ("split:tset", "tset", 6, "use one of train, test"),
        ("source:imported", "imported", 7, "use one of challenge, import, demo, manifest"),
        ("voxel<=x", "x", 7, "for instance voxel<=4"),
        ("mito voxel<=nan", "nan", 12, "for instance voxel<=4"),
        ("voxel<=1,2", "1,2", 7, "for instance voxel<=4"),
        ("voxel>-4", "-4", 6, "for instance voxel<=4"),
        ("voxel", "voxel", 0, "for instance voxel<=4"),
        ("class<4", "<", 5, "for instance class:mito"),
        ("dataset:", "dataset", 0, "for instance dataset:hela"),
        ("mito,nucc", "nucc", 5, "did you mean 'nuc'?"),
        ("999", "999", 0, "the nearest is jrc_mus-kidney/crop989"),
        ("250-240", "250-240", 0, "write 240-250"),
        ("jrc_hella-2/28", "jrc_hella-2/28", 0, "did you mean 'jrc_hela-2'?"),
        ("mito -", "-", 5, "write what to leave out, such as -mito"),
    ],
)
def test_an_error_points_at_the_bad_word(text, word, start, remedy):
    with pytest.raises(FilterError) as caught:
        CATALOG.query(text)
    error = caught.value
    assert error.message.startswith(f"filter: '{word}' at position {start + 1} ")
    assert text[error.start : error.stop] == word
    assert error.remedy == remedy


def test_an_unknown_name_is_an_unknown_name_error():
    with pytest.raises(UnknownNameError, match="neither a class nor part of a dataset's name"):
        CATALOG.query("mtio")


def test_control_characters_do_not_reach_the_message():
    with pytest.raises(FilterError) as caught:
        CATALOG.query("a\x1b[31mb")
    assert "\x1b" not in str(caught.value)


def test_a_filter_beyond_reason_is_refused():
    with pytest.raises(RequestError, match="longer than"):
        CATALOG.query("mito " * 1000)


def test_a_half_typed_word_matches_inside_names():
    assert {row.class_name for row in rows("mit", partial=True)} == {"mito", "mito_mem", "mito_lum", "mito_ribo"}
    assert "jrc_hela-2" in {crop.dataset for crop in kept("hel", partial=True)}
    assert kept("mito hel", partial=True) == [crop for crop in kept("mito") if "hel" in crop.dataset]


@pytest.mark.parametrize(
    "text", ["vox", "voxel", "voxel<", "voxel<=", "dataset:", "split:", "split:t", "crop:", "-", "not", ","]
)
def test_a_word_that_may_become_something_does_not_narrow(text):
    assert len(kept(f"mito {text}", partial=True)) == len(kept("mito"))


def test_a_half_typed_value_matches_by_part():
    assert {crop.split for crop in kept("split:tr", partial=True)} == {"train"}
    assert all("55" in str(crop.id) for crop in kept("crop:55", partial=True))
    assert {row.class_name for row in rows("class:mit", partial=True)} == {
        "mito",
        "mito_mem",
        "mito_lum",
        "mito_ribo",
    }
    assert kept("dataset:zzz", partial=True) == []
    assert kept("zzz", partial=True) == []


def test_a_whole_word_means_the_same_while_typing():
    for text in ("er", "234", "mito dataset:hela", "voxel<=4"):
        assert CATALOG.query(text, partial=True) == CATALOG.query(text)


def test_a_bad_word_that_is_finished_is_refused_while_typing():
    for text in ("mtio ", "mtio nuc", "datset:x"):
        with pytest.raises(FilterError):
            CATALOG.query(text, partial=True)


@given(st.text(max_size=60), st.booleans())
@example("not", False)
@example("voxel<=9e999", False)
@example("1-2-3,4/5/6", True)
@example("İ:İ", False)
@example("crop:" + "9" * 500, True)
def test_any_text_is_a_filter_or_a_clear_error(text, partial):
    query, error = attempt(CATALOG.query, text, partial=partial)
    if error is not None:
        assert isinstance(error, RequestError)
        assert "\n" not in error.message
        assert len(error.message) < 300
    else:
        for crop in CATALOG.crops[:3]:
            query.matches(crop)
            query.passing_classes(crop)


@given(st.lists(WORDS, max_size=6))
def test_writing_a_filter_and_parsing_it_again_changes_nothing(words):
    text = " ".join(words)
    if text.endswith("not"):
        text += " mito"
    query = parse_query(text)
    again = parse_query(str(query))
    assert again == query
    assert str(again) == str(query)
    assert [query.matches(crop) for crop in CATALOG.crops] == [again.matches(crop) for crop in CATALOG.crops]


@given(st.lists(WORDS.filter(lambda word: word != "not"), max_size=4))
def test_filtering_annotations_agrees_with_asking_each_crop_for_its_classes(words):
    query = parse_query(" ".join(words))
    crops = CATALOG.crops[::25]
    annotations = [annotation for crop in crops for annotation in crop.annotations()]
    expected = [i for i, a in enumerate(annotations) if a.class_name in query.passing_classes(a.crop)]
    assert query.filter_annotations(annotations) == expected
    assert [i for i, a in enumerate(annotations) if query.matches_annotation(a)] == expected
