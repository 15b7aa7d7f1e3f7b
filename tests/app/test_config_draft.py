"""Drafts of configurations: what is typed means the same to training, and is found again after a crash."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.app.config_draft import (
    MOST_DRAFTS,
    ConfigDraft,
    DraftKeeper,
    draft_path,
    read_draft,
    set_text,
    write_draft,
)
from cellmap_tui.app.config_reading import ConfigReader, save_draft
from cellmap_tui.app.config_rows import UNITS, typed_value
from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.learning.config_model import keys
from cellmap_tui.learning.config_read import value_of_text
from cellmap_tui.services.train_model import TrainRequest
from tests.app.builders import settings_at
from tests.app.config_parts import request_of, write_config


@pytest.fixture
def reader(tmp_path: Path) -> ConfigReader:
    return ConfigReader(settings_at(tmp_path))


def value_in(reader: ConfigReader, draft: ConfigDraft, name: str):
    resolved = reader.read(draft).resolved
    assert resolved is not None
    return getattr(resolved.checked(), name)


def row_in(reader: ConfigReader, draft: ConfigDraft, name: str):
    return next(row for row in reader.read(draft).rows if row.name == name)


@pytest.mark.parametrize("form", ["default", "official"])
def test_every_default_can_be_typed_as_it_is_shown(form) -> None:
    for key in keys().values():
        value = getattr(key, form)
        text, can_type = typed_value(value, key.kind)
        if value is not None or can_type:
            assert can_type, key.name
            assert key.kind.read(value_of_text(text)) == key.kind.read(value), key.name
        assert "\n" not in text


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_a_text_that_a_key_takes_is_passed_on_as_it_was_typed(text) -> None:
    kind = keys()["model_name"].kind
    try:
        expected = kind.read(text)
    except ValueError:
        return
    passed = value_of_text(set_text("model_name", text).strip())
    assert kind.read(passed) in {expected, expected.strip(), value_of_text(text)}


def test_every_key_is_a_row_with_what_it_takes_and_means(reader) -> None:
    rows = {row.name: row for row in reader.read(ConfigDraft()).rows}
    assert keys().keys() <= rows.keys()
    assert all(row.takes and row.help for row in rows.values())
    assert UNITS.keys() <= rows.keys()


def test_origins_tell_default_line_set_and_here(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config(), "batch_size=8")).edited("val_every", "2")
    origins = {row.name: row.origin for row in reader.read(draft).rows}
    assert origins["epochs"] == "line 4"
    assert origins["batch_size"] == "--set"
    assert origins["val_every"] == "here"
    assert origins["loss"] == "default"


def test_what_is_typed_wins_over_the_command_line_and_the_file(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config(), "epochs=8")).edited("epochs", "9")
    assert value_in(reader, draft, "epochs") == 9
    assert value_in(reader, draft.edited("epochs", ""), "epochs") == 8


def test_numbers_of_gpus_and_hours_of_a_command_line_can_be_changed(reader) -> None:
    draft = ConfigDraft.of_request(TrainRequest(devices=2, max_hours=1.5))
    assert row_in(reader, draft, "devices").value == "2"
    request = draft.edited("max_hours", "3").request(settings_at())
    assert request.max_hours is None
    assert request.sets[-1] == "max_hours=3"


def test_one_wrong_value_hides_no_other(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config())).edited("batch_size", "many")
    assert row_in(reader, draft, "epochs").value == "40"
    wrong = row_in(reader, draft, "batch_size")
    assert wrong.value == "many"
    assert "not a whole number" in wrong.problem
    assert [row.name for row in reader.read(draft).wrong] == ["batch_size"]


def test_a_value_that_is_wrong_only_with_another_is_told(reader) -> None:
    draft = ConfigDraft().edited("epochs", "10").edited("warmup_epochs", "12")
    assert "warmup_epochs is 12 of 10 epochs" in row_in(reader, draft, "warmup_epochs").problem


def test_an_unknown_key_of_the_file_is_a_row_of_its_own(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config("epoch = 3\n")))
    assert "did you mean 'epochs'" in row_in(reader, draft, "epoch").problem


def test_without_its_file_a_form_still_shows_what_was_typed(reader) -> None:
    draft = ConfigDraft.of_request(request_of(Path("gone.toml"))).edited("epochs", "7")
    reading = reader.read(draft)
    assert reading.error is not None
    assert row_in(reader, draft, "epochs").value == "7"
    assert "gone.toml" in row_in(reader, draft, "config").problem


def test_a_file_that_is_no_toml_is_a_problem_of_its_row(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config("epochs = = 3\n")))
    assert "is not TOML" in row_in(reader, draft, "config").problem


@pytest.mark.parametrize(
    ("name", "text"), [("init_from", "nowhere.pth"), ("score_every", "0"), ("score_profile", "2026-6")]
)
def test_what_is_asked_beside_the_configuration_is_checked(reader, name, text) -> None:
    draft = ConfigDraft().edited(name, text)
    assert row_in(reader, draft, name).problem
    with pytest.raises(RequestError):
        draft.request(settings_at())


def test_python_runs_only_when_it_is_allowed_and_then_once(reader, monkeypatch) -> None:
    from cellmap_tui.learning import config_python

    ran = []
    original = config_python.run_python_config
    monkeypatch.setattr(
        config_python, "run_python_config", lambda path, **options: ran.append(path) or original(path, **options)
    )
    draft = ConfigDraft.of_request(request_of(write_config("epochs = 5\nmodel_name = '2d_unet'\n", "own.py")))
    reading = reader.read(draft)
    assert reading.asks is not None
    assert ran == []
    allowed = replace(draft, base=replace(draft.base, trust=True))
    assert value_in(reader, allowed, "epochs") == 5
    assert value_in(reader, allowed.edited("epochs", "6"), "epochs") == 6
    assert len(ran) == 1


def test_a_saved_configuration_reads_back_as_the_draft(reader) -> None:
    draft = ConfigDraft.of_request(request_of(write_config(), "batch_size=8")).edited("optimizer", "SGD")
    path = Path("out.toml").absolute()
    save_draft(reader.read(draft), path)
    after = draft.saved_as(path)
    assert after.sets() == ()
    assert reader.read(after).resolved.config == reader.read(draft).resolved.config


# On disk


def test_a_draft_is_found_again_with_the_line_in_hand(tmp_path) -> None:
    request = request_of(write_config())
    draft = replace(ConfigDraft.of_request(request).edited("epochs", "3"), typing=("batch_size", "1"))
    write_draft(tmp_path, draft)
    assert read_draft(tmp_path, request) == draft
    assert read_draft(tmp_path, None) == draft


def test_each_request_has_a_draft_of_its_own(tmp_path) -> None:
    one, two = request_of(Path("a.toml")), request_of(Path("a.toml"), "epochs=2")
    write_draft(tmp_path, ConfigDraft.of_request(one).edited("epochs", "3"))
    assert read_draft(tmp_path, two) is None
    assert read_draft(tmp_path, one) is not None


def test_leave_to_run_python_is_not_kept(tmp_path) -> None:
    draft = ConfigDraft.of_request(TrainRequest(trust=True, force=True)).edited("epochs", "3")
    write_draft(tmp_path, draft)
    kept = read_draft(tmp_path, None)
    assert not kept.base.trust
    assert not kept.base.force


BROKEN = {
    "empty": b"",
    "open": b"{",
    "a list": b"[]",
    "edits": b'{"edits": 3}',
    "bytes": b"\xff\xfe",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_draft_is_passed_over(tmp_path, content) -> None:
    draft = ConfigDraft().edited("epochs", "3")
    write_draft(tmp_path, draft)
    draft_path(tmp_path, draft).write_bytes(content)
    assert read_draft(tmp_path, None) is None


def test_old_drafts_are_forgotten(tmp_path) -> None:
    for number in range(MOST_DRAFTS + 5):
        write_draft(tmp_path, ConfigDraft.of_request(request_of(None, f"epochs={number + 1}")))
    assert len(list((tmp_path / "drafts").iterdir())) == MOST_DRAFTS


def test_the_newest_of_many_drafts_is_what_stays(tmp_path) -> None:
    keeper = DraftKeeper(tmp_path)
    writers = []
    for number in range(200):
        if keeper.offer(ConfigDraft().edited("epochs", str(number + 1))):
            writers.append(threading.Thread(target=keeper.write))
            writers[-1].start()
    for writer in writers:
        writer.join()
    assert dict(read_draft(tmp_path, None).edits) == {"epochs": "200"}
    names = [path.name for path in (tmp_path / "drafts").iterdir()]
    assert len(names) == 1
    json.loads((tmp_path / "drafts" / names[0]).read_text())


def test_a_folder_that_cannot_be_written_is_told(tmp_path) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file")
    keeper = DraftKeeper(blocked)
    keeper.offer(ConfigDraft().edited("epochs", "3"))
    with pytest.raises(RefusedError, match="cannot be kept"):
        keeper.write()
    assert keeper.offer(ConfigDraft().edited("epochs", "4"))
