from __future__ import annotations

import json

import pytest

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.trust import FILE_NAME, MAX_ENTRIES, is_trusted, trusted_runner


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("import os\nepochs = 3\n")
    return path


def runner(tmp_path, **options):
    return trusted_runner(tmp_path / "state", timeout_s=60, **{"trust": False, "environ": {}, **options})


def test_code_is_not_run_before_somebody_allowed_it(tmp_path, config):
    config.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(RefusedError, match="--trust-config") as caught:
        runner(tmp_path)(config)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "ran").exists()


def test_it_is_asked_for_once_per_content(tmp_path, config):
    asked = []
    run = runner(tmp_path, ask=lambda facts: asked.append(facts.sha256) or True)
    run(config)
    run(config)
    assert len(asked) == 1
    assert runner(tmp_path)(config).values == {"epochs": 3}
    config.write_text("epochs = 4\n")
    with pytest.raises(RefusedError):
        runner(tmp_path)(config)
    assert run(config).values == {"epochs": 4}
    assert len(asked) == 2


def test_no_is_no_and_is_not_remembered(tmp_path, config):
    with pytest.raises(RefusedError):
        runner(tmp_path, ask=lambda _facts: False)(config)
    assert not (tmp_path / "state").exists()


def test_the_flag_allows_the_content_from_then_on(tmp_path, config):
    runner(tmp_path, trust=True)(config)
    assert runner(tmp_path)(config).values == {"epochs": 3}


def test_a_file_beside_it_that_changes_is_new_content(tmp_path, config):
    (tmp_path / "ours.py").write_text("E = 1\n")
    config.write_text("from ours import E\nepochs = E\n")
    runner(tmp_path, trust=True)(config)
    (tmp_path / "ours.py").write_text("E = 2\n")
    with pytest.raises(RefusedError):
        runner(tmp_path)(config)


def test_a_damaged_memory_allows_nothing(tmp_path, config):
    runner(tmp_path, trust=True)(config)
    (tmp_path / "state" / FILE_NAME).write_text('{"trusted": [')
    with pytest.raises(RefusedError):
        runner(tmp_path)(config)
    runner(tmp_path, trust=True)(config)
    assert runner(tmp_path)(config).values == {"epochs": 3}


def test_the_memory_is_bounded(tmp_path, config):
    (tmp_path / "state").mkdir()
    old = {str(n): {"path": "x", "time": n} for n in range(MAX_ENTRIES)}
    (tmp_path / "state" / FILE_NAME).write_text(json.dumps({"v": 1, "trusted": old}))
    runner(tmp_path, trust=True)(config)
    assert not is_trusted(tmp_path / "state", "0")
    assert is_trusted(tmp_path / "state", "1")


def test_a_state_folder_that_cannot_be_written_forgets(tmp_path, config):
    (tmp_path / "state").write_text("a file")
    assert runner(tmp_path, trust=True)(config).values == {"epochs": 3}


@pytest.mark.parametrize(
    ("value", "refused"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)]
)
def test_the_toolbox_s_switch_refuses_what_reaches_out(tmp_path, config, value, refused):
    run = runner(tmp_path, trust=True, environ={"FORCE_SAFE_CONFIG": value})
    if refused:
        with pytest.raises(RefusedError, match="FORCE_SAFE_CONFIG"):
            run(config)
    else:
        run(config)
