"""The key grammar: one table, safe keys, and what a user may change."""

from __future__ import annotations

import pytest

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.keys import KEYS, UNUSABLE, bind, checked_overrides, display
from tests.app.builders import app_with


def test_no_key_of_the_table_is_one_that_terminals_eat() -> None:
    used = {key for entry in KEYS.values() for key in entry.keys.split(",")}

    assert not used & set(UNUSABLE)
    assert not any(key.startswith("alt+") for key in used)


def test_every_key_says_what_it_does() -> None:
    assert all(key.label and key.help.endswith(".") for key in KEYS.values())


def test_a_binding_carries_the_words_of_the_table_unless_a_pane_has_better_ones() -> None:
    assert bind("do.stop", "stop").tooltip == KEYS["do.stop"].help
    assert bind("do.stop", "stop", "leave out", help="Leave it out.").tooltip == "Leave it out."


def test_the_app_binds_every_digit() -> None:
    bound = {binding.key for binding in CellmapApp.BINDINGS if binding.id.startswith("go.")}

    assert set("0123456789") <= bound


@pytest.mark.parametrize(
    ("key", "shown"),
    [("space", "␣"), ("enter", "⏎"), ("ctrl+d", "^d"), ("G", "G"), ("question_mark", "?"), ("shift+tab", "⇧⇥")],
)
def test_keys_are_written_as_people_know_them(key: str, shown: str) -> None:
    assert display(key) == shown


def test_keys_are_written_in_ascii_where_there_is_nothing_else() -> None:
    assert display("space", ascii_only=True) == "space"
    assert all(display(key, ascii_only=True).isascii() for entry in KEYS.values() for key in entry.keys.split(","))


def test_changed_keys_are_taken_and_wrong_ones_are_named() -> None:
    usable, problems = checked_overrides(
        {"do.stop": "X", "do.stopp": "X", "do.mark": "ctrl+i", "do.sort": "", "do.view": "alt+v"}
    )

    assert usable == {"do.stop": "X"}
    assert problems == [
        "[keys] do.stopp: no such key; did you mean do.stop?",
        "[keys] do.mark: ctrl+i cannot be used, it arrives as tab",
        "[keys] do.sort: '' names no key",
        "[keys] do.view: alt+v cannot be used, terminals often eat alt",
    ]


def test_keys_of_signs_are_written_as_their_signs() -> None:
    assert [display(key) for key in ("equals_sign", "percent_sign", "less_than_sign")] == ["=", "%", "<"]


def test_no_key_is_shown_by_the_name_of_its_sign() -> None:
    assert not [key.id for key in KEYS.values() for name in key.keys.split(",") if "_" in display(name.strip())]


async def test_the_key_bar_is_ascii_where_the_terminal_is(monkeypatch) -> None:
    monkeypatch.setattr("cellmap_tui.app.app.ascii_only", lambda: True)
    async with app_with(start="home").run_test() as pilot:
        shown = [pilot.app.get_key_display(bind(key.id, "none")) for key in KEYS.values()]
    assert all(text.isascii() for text in shown)
