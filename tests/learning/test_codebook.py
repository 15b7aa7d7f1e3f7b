import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.errors import DataError
from cellmap_tui.learning.codebook import (
    ABSENT,
    OUTSIDE,
    PRESENT,
    UNKNOWN,
    BookBuilder,
    combinations,
    decode,
)


def test_code_0_is_unknown_for_every_column():
    assert (BookBuilder(5).book[OUTSIDE] == UNKNOWN).all()


def test_decoding_equals_dense_arrays_of_48_classes():
    table = builtin_classes()
    scored = table.scored
    atoms = np.random.default_rng(0).integers(1, 78, (24, 25, 26))
    dense = np.stack([np.isin(atoms, info.member_ids or (info.id,)) for info in scored]).astype(np.uint8)
    dense[7] = UNKNOWN
    dense[9][atoms % 5 == 0] = UNKNOWN
    builder = BookBuilder(len(scored))
    codes = builder.code_block(list(dense), atoms.shape)
    assert len(scored) == 48
    assert (decode(codes, builder.book) == dense).all()


def test_a_book_in_a_stack_of_books_is_found_by_its_first_row():
    book = np.array([[255], [0], [255], [1]], np.uint8)
    assert decode(np.array([1, 0]), book, 2).tolist() == [[PRESENT, UNKNOWN]]


@settings(max_examples=60)
@given(st.data())
def test_any_states_are_coded_and_decoded_exactly(data):
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    columns = data.draw(st.integers(1, 40))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    choices = [[ABSENT, PRESENT], [ABSENT, PRESENT, UNKNOWN], [UNKNOWN], [PRESENT]]
    states = [random.choice(choices[random.integers(4)], shape).astype(np.uint8) for _ in range(columns)]
    given_states = [int(s[0, 0, 0]) if (s == s[0, 0, 0]).all() else s for s in states]
    builder = BookBuilder(columns)
    codes = builder.code_block(given_states, shape)
    assert (decode(codes, builder.book) == np.stack(states)).all()


def test_blocks_of_one_crop_share_codes():
    builder = BookBuilder(1)
    first = builder.code_block([np.array([[[1, 0]]], np.uint8)], (1, 1, 2))
    second = builder.code_block([PRESENT], (1, 1, 1))
    assert second[0, 0, 0] == first[0, 0, 0]
    assert len(builder) == 3


def test_every_combination_that_is_returned_occurs():
    random = np.random.default_rng(3)
    columns = [random.integers(0, 2, (8, 8, 8)).astype(np.uint8) for _ in range(30)]
    keys, rows = combinations(columns, (8, 8, 8))
    assert len(np.unique(keys)) == len(rows) == len({row.tobytes() for row in rows})
    assert (rows[keys] == np.stack(columns, axis=-1)).all()


def test_labels_that_are_noise_are_refused():
    builder = BookBuilder(20)
    numbers = np.arange(70_000)
    rows = ((numbers[:, None] >> np.arange(20)) & 1).astype(np.uint8)
    with pytest.raises(DataError, match="more than 65536 combinations"):
        builder.codes_of(rows)
