"""`predict` on the command line."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.cli.main import main
from tests.services.predicting import data_root, network


@pytest.fixture
def words(tmp_path):
    root, run = data_root(tmp_path), network(tmp_path / "run")
    return [
        "--batch", "--json", f"--data-root={root}", f"--runs-root={tmp_path / 'runs'}", "predict", str(run),
        "--crops", "set/1", "-o", f"{tmp_path}/out/{{dataset}}.zarr/{{crop}}", "--device", "cpu",
    ]  # fmt: skip


def test_a_run_is_predicted_and_the_last_line_is_the_result(words, tmp_path, capsys):
    assert main([*words, "--classes", "er", "--dtype", "float16"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["command"]) == ("result", "predict")
    assert last["value"]["crops"][0]["state"] == "written"
    assert (tmp_path / "out" / "set.zarr" / "crop1" / "er" / ".zattrs").is_file()


def test_a_dry_run_writes_nothing(words, tmp_path, capsys):
    assert main([*words, "--dry-run"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["value"]["dry_run"] is True
    assert last["value"]["tiles"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("by_environment", [False, True])
def test_em_comes_from_the_bucket_that_is_named_for_every_command(
    words, tmp_path, monkeypatch, capsys, by_environment
):
    bucket = tmp_path / "buckets" / "cells" / "set"
    bucket.parent.mkdir(parents=True)
    (tmp_path / "data" / "set").rename(bucket)
    server = (tmp_path / "buckets").as_uri()
    if by_environment:
        monkeypatch.setenv("CELLMAP_TUI_ENDPOINT_URL", server)
        monkeypatch.setenv("CELLMAP_TUI_BUCKET", "cells")
        named = []
    else:
        named = ["--endpoint-url", server, "--bucket", "cells"]
    assert main([*words, "--classes", "er", "--remote", *named]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["value"]["crops"][0]["state"] == "written"


def test_one_volume_is_told_in_the_singular(words, capsys):
    words.remove("--json")
    assert main([*words, "--dry-run"]) == 0
    assert "1 volume, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--max-bytes", "1k"], 3, "--max-bytes"),
        (["--classes", "mitos"], 2, "did you mean"),
        (["--box", "0,0,0:8,8,8"], 2, "--em"),
        (["--em", "set", "--box", "0,0,0"], 2, "two corners"),
        (["--voxel-size", "no"], 2, "voxel size"),
    ],
)
def test_what_is_wrong_has_its_exit_code(words, capsys, more, code, said):
    assert main([*words, *more]) == code
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["event"] == "error"
    assert said in f"{told['message']} {told['remedy']}"


def test_a_run_that_does_not_exist_is_told(words, capsys):
    place = words.index("predict") + 1
    words[place] = "no-such-run"
    assert main(words) == 1
    assert "no-such-run" in capsys.readouterr().out
