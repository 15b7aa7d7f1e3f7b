"""`fetch-data` and `verify` as a user types them, against a real server."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.challenge.layout import local_share
from cellmap_tui.cli.commands.fetch_data import amount, expression, listed
from cellmap_tui.errors import RequestError
from tests.s3 import serve_s3
from tests.services.fetching import BUCKET, EM, World, make_bucket, write_manifests
from tests.storage.proxy import FaultProxy, status


@pytest.fixture
def world(tmp_path):
    buckets = tmp_path / "buckets"
    buckets.mkdir()
    source = make_bucket(buckets)
    write_manifests(tmp_path)
    with serve_s3(buckets) as server, FaultProxy(server.url) as proxy:
        yield World(proxy.url, source, tmp_path, proxy)


@pytest.fixture
def places(world):
    return [
        *("--dest", world.data, "--endpoint-url", world.url, "--bucket", BUCKET),
        *("--manifest", "manifest.csv", "--train-manifest", "train_manifest.csv"),
        *("--test-manifest", "test_manifest.csv"),
    ]


def test_the_line_of_the_manual_fetches_crops(cellmap, world, places):
    answer = cellmap("--batch", "fetch-data", "--crops", "1,2", "--raw-padding", "16", *places, "--yes")
    assert answer.code == 0
    assert "2 of 2 crops complete" in answer.out
    assert "verified" in answer.err
    assert world.same_bytes()


def test_the_short_flags_of_the_toolbox_work(cellmap, world, places):
    words = ["-c", "1", "-p", "20", "-m", "append", "-all-res", "-b", "256", "-w", "4", "-d", *places[1:]]
    assert cellmap("--batch", "fetch-data", *words).code == 0
    assert len(world.chunks("s0")) > 12


def test_json_ends_with_the_result(cellmap, world, places):
    answer = cellmap("--batch", "--json", "fetch-data", "--crops", "1", "3", *places)
    last = answer.events[-1]
    assert (last["event"], last["command"]) == ("result", "fetch-data")
    assert [crop["state"] for crop in last["value"]["crops"]] == ["complete", "complete"]
    assert last["value"]["fetched"]["objects"] > 0
    assert {event["event"] for event in answer.events} >= {"state", "progress", "note", "artefact", "result"}


def test_a_dry_run_prints_the_plan_and_writes_nothing(cellmap, world, places):
    answer = cellmap("--batch", "fetch-data", "--crops", "1,2", "--dry-run", *places)
    assert answer.code == 0
    assert "12 chunks" in answer.out
    assert "skip" in answer.out
    assert not world.data.exists()
    plan = cellmap("--batch", "--json", "fetch-data", "--crops", "1", "--dry-run", *places).events[-1]["value"]
    assert plan["fits"] is True
    assert plan["to_fetch"]["bytes"] > 0


def test_a_plan_that_is_too_large_is_refused_with_exit_code_3(cellmap, world, places):
    answer = cellmap("--batch", "fetch-data", "--crops", "1", "--max-bytes", "1k", *places)
    assert answer.code == 3
    assert "--max-bytes" in answer.err


def test_overwriting_without_a_yes_is_refused_with_exit_code_3(cellmap, world, places):
    assert cellmap("--batch", "fetch-data", "--crops", "1", *places).code == 0
    refused = cellmap("--batch", "fetch-data", "--crops", "1", "--access-mode", "overwrite", *places)
    assert refused.code == 3
    assert "--yes" in refused.err
    assert cellmap("--batch", "fetch-data", "--crops", "1", "-m", "overwrite", "--yes", *places).code == 0


def test_a_partial_failure_exits_1_and_names_the_command_that_finishes(cellmap, world, places):
    world.proxy.decide = lambda r: status(403, "AccessDenied") if r.key == f"{EM}/s0/1/0/0" else None
    answer = cellmap("--batch", "fetch-data", "--crops", "1", *places)
    assert answer.code == 1
    command = next(line for line in answer.out.splitlines() if line.startswith("to finish: "))
    world.proxy.decide = None
    words = command.removeprefix("to finish: cellmap-tui ").split()
    assert cellmap(*words).code == 0
    assert world.same_bytes()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--crops", "99"], "99"),
        (["--crops", "1", "--classes", "mitoo"], "mito"),
        (["--crops", "1", "--levels", "s9"], "s0, s1, s2"),
        (["--crops", "1", "--levels", "s1", "-all-res"], "--levels"),
        (["--crops", "1", "--raw-padding", "-3"], "--raw-padding"),
        (["--crops", "1", "--num-workers", "0"], "--num-workers"),
        (["--crops", "1", "--limit-rate", "fast"], "fast"),
    ],
)
def test_a_wrong_request_exits_2_and_says_what_is_wrong(cellmap, places, words, part):
    answer = cellmap("--batch", "fetch-data", *words, *places)
    assert answer.code == 2
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_the_workers_of_the_toolbox_variable_are_checked(cellmap, places):
    answer = cellmap("--batch", "fetch-data", "--crops", "1", *places, CSC_FETCH_DATA_NUM_WORKERS="many")
    assert answer.code == 2
    assert "CSC_FETCH_DATA_NUM_WORKERS" in answer.err


def test_without_a_terminal_the_way_to_run_here_is_named(cellmap, places):
    answer = cellmap("fetch-data", "--crops", "1", *places)
    assert answer.code == 2
    assert "--batch" in answer.err


def test_what_was_fetched_shows_as_local_in_the_list(cellmap, world, places):
    cellmap("--batch", "fetch-data", "--crops", "1", *places)
    rows = cellmap("crops", "--json", "local", "--data-root", world.data).document
    assert [(row["crop"], row["dataset"]) for row in rows] == [(1, "tiny")]
    assert local_share(world.data, next(iter(_crops(world)))) == 1


def _crops(world):
    from cellmap_tui.challenge.local import read_local_crops

    return read_local_crops(world.data)


def test_verify_finds_repairs_and_says_so_by_its_exit_code(cellmap, world, places):
    cellmap("--batch", "fetch-data", "--crops", "1", *places)
    assert cellmap("--batch", "verify", *places).code == 0
    (world.data / EM / "s0/1/0/0").unlink()
    found = cellmap("--batch", "verify", *places)
    assert found.code == 1
    assert "1 missing" in found.out
    assert cellmap("--batch", "verify", "--offline", *places).code == 1
    repaired = cellmap("--batch", "--json", "verify", "--repair", *places)
    assert repaired.code == 0
    assert repaired.events[-1]["value"]["repaired"] == 1
    assert world.same_bytes()


def test_a_server_that_is_not_there_is_told_while_it_is_waited_for(cellmap, world, places, environ):
    answer = cellmap("--batch", "--json", "fetch-data", "--crops", "1", *places, "--bucket", "no-such-bucket")
    assert answer.code == 1
    assert json.loads(answer.out.splitlines()[-1])["event"] == "error"


def test_amounts_of_bytes_take_the_usual_units():
    assert [amount(text) for text in ("300", "20M", "1.5G", "2 kB", "1T/s")] == [
        300,
        20_000_000,
        1_500_000_000,
        2000,
        1_000_000_000_000,
    ]
    with pytest.raises(RequestError):
        amount("-3")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["234,236"], "234,236"),
        (["234", "236"], "234,236"),
        (["234,", "jrc_cos7-1a/crop236", "test"], "234,jrc_cos7-1a/crop236,test"),
        (["240-250", "7"], "240-250,7"),
        (["mito", "voxel<=4"], "mito voxel<=4"),
        (["mito voxel<=4"], "mito voxel<=4"),
    ],
)
def test_crops_named_one_by_one_are_all_meant_and_the_words_of_a_filter_stay_one(words, meant):
    assert expression(words) == meant


def test_names_may_be_separated_by_commas_or_spaces():
    assert listed(["mito,nuc", "er", "mito"]) == ("mito", "nuc", "er")
