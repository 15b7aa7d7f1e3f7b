from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cellmap_tui.challenge.catalog import builtin_catalog, load_catalog, refreshed_table
from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError, Stopped
from cellmap_tui.services import manifest_source
from cellmap_tui.services.catalog import CatalogSource, catalog_origin, open_catalog
from cellmap_tui.services.catalog_refresh import RefreshRequest, refresh_catalog
from cellmap_tui.services.manifest_source import read_manifest
from cellmap_tui.services.models import to_json
from cellmap_tui.services.published import PUBLISHED_MANIFEST, manifests_from_environment
from cellmap_tui.services.report import SilentReporter
from tests.challenge.factories import CROPS_HEAD, HEAD, ROW, place_row

TRAIN = HEAD + ROW + ROW.replace("mito", "nuc")
TEST = HEAD + ROW.replace("1,", "9,", 1)


class Recorder(SilentReporter):
    def __init__(self):
        self.steps = []

    def progress(self, done, total, unit):
        self.steps.append((done, total, unit))


class Stopping(SilentReporter):
    def checkpoint(self):
        raise Stopped("stopped")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m.csv").write_text(CROPS_HEAD + place_row(1, "cell_a"))
    (tmp_path / "t.csv").write_text(TRAIN)
    (tmp_path / "s.csv").write_text(TEST)
    return tmp_path


@pytest.fixture
def request_all(folder):
    return RefreshRequest(folder / "state", str(folder / "m.csv"), str(folder / "t.csv"), str(folder / "s.csv"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404, "gone")
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body is None:
            self.server.release.wait(20)
            return
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        server.answers = {}
        server.release = threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


def test_without_anything_given_the_built_in_tables_are_used(tmp_path):
    assert open_catalog(CatalogSource(tmp_path, tmp_path), environ={}).crops == builtin_catalog().crops


def test_given_manifests_replace_the_tables(folder):
    source = CatalogSource(manifest=str(folder / "m.csv"), train_manifest=f"file://{folder}/t.csv")
    catalog = open_catalog(source, environ={})
    assert [crop.ref for crop in catalog.crops if crop.split == "train"] == ["cell_a/crop1"]
    assert sum(crop.split == "test" for crop in catalog.crops) == 16


def test_the_toolboxes_variables_name_manifests(folder):
    environ = {"CSC_TEST_CROP_MANIFEST_URL": str(folder / "s.csv")}
    catalog = open_catalog(CatalogSource(), environ=environ)
    assert [crop.ref for crop in catalog.crops if crop.split == "test"] == ["cell_a/crop9"]
    with pytest.raises(RequestError, match="--train-manifest"):
        open_catalog(CatalogSource(), environ={"CSC_FETCH_DATA_MANIFEST_URL": str(folder / "m.csv")})


def test_a_variable_that_names_the_published_address_changes_nothing():
    assert manifests_from_environment({"CSC_FETCH_DATA_MANIFEST_URL": PUBLISHED_MANIFEST}) == (None, None)


def test_a_refresh_shows_what_changes_and_is_used_from_then_on(request_all):
    report = Recorder()
    result = refresh_catalog(request_all, report)
    assert len(result.diff.crops_removed) == 305
    assert result.diff.crops_added == ("cell_a/crop1", "cell_a/crop9")
    assert (result.diff.annotations_before, result.diff.annotations_after) == (11_786, 2)
    assert (result.diff.test_volumes_before, result.diff.test_volumes_after) == (413, 1)
    assert result.written
    assert result.sha256 != result.sha256_before
    assert report.steps[-1] == (3, 3, "manifests")
    catalog = load_catalog(state_dir=request_all.state_dir)
    assert [(crop.ref, crop.source) for crop in catalog.crops] == [
        ("cell_a/crop1", "challenge"),
        ("cell_a/crop9", "challenge"),
    ]
    assert "m.csv" in catalog_origin(request_all.state_dir)
    assert b"crops_added" in to_json(result)


def test_a_second_refresh_from_the_same_files_changes_nothing(request_all):
    first = refresh_catalog(request_all, SilentReporter())
    second = refresh_catalog(request_all, SilentReporter())
    assert second.diff.is_empty
    assert second.sha256 == second.sha256_before == first.sha256


def test_a_changed_crop_says_what_differs(request_all, folder):
    refresh_catalog(request_all, SilentReporter())
    changed = TRAIN.replace("nuc", "er").replace("[10;20;30]", "[10;20;31]")
    (folder / "t.csv").write_text(changed)
    (change,) = refresh_catalog(request_all, SilentReporter()).diff.crops_changed
    assert change.ref == "cell_a/crop1"
    assert change.what == "classes +er −nuc; shape 10×20×30 → 10×20×31"


def test_a_dry_run_keeps_the_old_table(request_all):
    result = refresh_catalog(replace(request_all, dry_run=True), SilentReporter())
    assert not result.written
    assert result.diff.crops_added
    assert not request_all.state_dir.exists()


def test_only_what_is_given_is_replaced(request_all):
    only_test = replace(request_all, manifest=None, train_manifest=None)
    result = refresh_catalog(only_test, SilentReporter())
    assert (result.annotations, result.test_volumes) == (11_786, 1)


def test_builtin_returns_to_the_table_of_this_version(request_all):
    refresh_catalog(request_all, SilentReporter())
    result = refresh_catalog(RefreshRequest(request_all.state_dir, builtin=True), SilentReporter())
    assert len(result.diff.crops_added) == 305
    assert load_catalog(state_dir=request_all.state_dir).crops == builtin_catalog().crops
    assert catalog_origin(request_all.state_dir) == "built-in"


def test_builtin_mends_a_damaged_table(request_all):
    refresh_catalog(request_all, SilentReporter())
    refreshed_table(request_all.state_dir).write_text("junk")
    assert load_catalog(state_dir=request_all.state_dir).notes
    assert catalog_origin(request_all.state_dir) == "built-in"
    refresh_catalog(RefreshRequest(request_all.state_dir, builtin=True), SilentReporter())
    assert not load_catalog(state_dir=request_all.state_dir).notes


@pytest.mark.parametrize(
    "bad", ["", "junk\n", TRAIN.replace("mito", "mtio"), TRAIN.replace("[8.0", "[nan"), TRAIN + ROW]
)
def test_any_error_keeps_the_old_table(request_all, folder, bad):
    refresh_catalog(request_all, SilentReporter())
    before = refreshed_table(request_all.state_dir).read_bytes()
    (folder / "t.csv").write_text(bad)
    with pytest.raises(DataError, match=r"t\.csv"):
        refresh_catalog(request_all, SilentReporter())
    assert refreshed_table(request_all.state_dir).read_bytes() == before
    assert [path.name for path in refreshed_table(request_all.state_dir).parent.iterdir()] == ["crops.tsv"]


def test_a_stop_keeps_the_old_table(request_all):
    with pytest.raises(Stopped):
        refresh_catalog(request_all, Stopping())
    assert not request_all.state_dir.exists()


def test_a_state_folder_that_cannot_be_written_is_a_clear_error(request_all, folder):
    (folder / "state").write_text("a file")
    with pytest.raises(CellmapError, match="cannot write"):
        refresh_catalog(request_all, SilentReporter())


def test_manifests_are_read_from_an_address(server, request_all):
    body = TRAIN.encode()
    server.answers["/t.csv"] = (200, {"Content-Length": str(len(body))}, body)
    request = replace(request_all, train_manifest=f"{server.url}/t.csv")
    result = refresh_catalog(request, SilentReporter())
    assert result.annotations == 2
    assert f"{server.url}/t.csv" in result.sources


def test_without_files_the_published_addresses_are_read(server, tmp_path, monkeypatch):
    for name, text in (("m", CROPS_HEAD + place_row(1, "cell_a")), ("t", TRAIN), ("s", TEST)):
        server.answers[f"/{name}.csv"] = (200, {}, text.encode())
    monkeypatch.setenv("CSC_FETCH_DATA_MANIFEST_URL", f"{server.url}/m.csv")
    monkeypatch.setenv("CSC_TEST_CROP_MANIFEST_URL", f"{server.url}/s.csv")
    monkeypatch.setattr("cellmap_tui.services.catalog_refresh.PUBLISHED_TRAIN_MANIFEST", f"{server.url}/t.csv")
    result = refresh_catalog(RefreshRequest(tmp_path / "state"), SilentReporter())
    assert (result.crops, result.test_volumes) == (2, 1)


def test_an_address_that_fails_says_how(server, monkeypatch):
    server.answers["/short"] = (200, {"Content-Length": "100"}, b"short")
    server.answers["/large"] = (200, {}, b"x" * 5000)
    server.answers["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    server.answers["/loop"] = (302, {"Location": "/loop"}, b"")
    server.answers["/binary"] = (200, {"Content-Length": "x"}, b"\xff\xfe")
    monkeypatch.setattr(manifest_source, "MAX_BYTES", 4000)
    for path, problem in (
        ("/none", "answered 404 gone"),
        ("/short", "100 bytes|cannot be read"),
        ("/large", "larger than"),
        ("/file", "answered 302|cannot be read"),
        ("/loop", "302"),
    ):
        with pytest.raises((MissingDataError, DataError), match=problem):
            read_manifest(f"{server.url}{path}", SilentReporter())


def test_an_address_that_never_answers_is_given_up(server):
    server.answers["/slow"] = (200, {"Content-Length": "100"}, None)
    with pytest.raises((MissingDataError, DataError)):
        read_manifest(f"{server.url}/slow", timeout_s=0.2)


def test_a_download_stops_when_asked(server):
    server.answers["/t.csv"] = (200, {}, TRAIN.encode())
    with pytest.raises(Stopped):
        read_manifest(f"{server.url}/t.csv", Stopping())


def test_a_server_that_is_not_there_is_a_missing_manifest(server):
    url = server.url
    server.server_close()
    with pytest.raises(MissingDataError, match="cannot be read"):
        read_manifest(f"{url}/t.csv")


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/m.csv",
        "ftp://host/m.csv",
        "://",
        "http://",
        "http://[",
        "file://other/m.csv",
        "/none",
        "a\0b",
        ".",
    ],
)
def test_a_source_of_another_kind_is_a_clear_error(source):
    with pytest.raises(CellmapError) as caught:
        read_manifest(source)
    assert caught.value.message


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_a_timeout_must_be_a_reasonable_time(timeout_s, folder):
    with pytest.raises(RequestError, match="timeout"):
        read_manifest(folder / "m.csv", timeout_s=timeout_s)
