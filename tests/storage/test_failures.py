"""What goes wrong between a bucket and a disk, each made to happen against a real server."""

from __future__ import annotations

import os
import threading
import time

import pytest

from cellmap_tui.errors import CellmapError, MissingDataError
from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.ledger import Ledger
from cellmap_tui.storage.listing import list_folders, list_prefixes
from cellmap_tui.storage.transfer import Transfer
from tests.storage.proxy import HTML, Fault, First, Noise, RateLimit, status

ONCE_EACH = {
    "503": status(503, "SlowDown"),
    "429": status(429),
    "500": status(500, "InternalError"),
    "reset": Fault("reset"),
    "early close": Fault("early"),
    "reset in the body": Fault("cut"),
    "stall": Fault("stall"),
    "silence": Fault("silent"),
    "short body": Fault("short"),
    "long body": Fault("long"),
    "wrong bytes": Fault("corrupt"),
    "a page with 200": Fault("html"),
    "404 that was none": status(404, "NoSuchKey"),
    "404 page": Fault("status", 404, HTML),
    "408": status(408, "RequestTimeout"),
}


def silence_s(fault):
    """How long to wait for an answer: a server on a busy machine is silent for a while too."""
    return 1.0 if fault.kind in {"stall", "silent"} else 20.0


@pytest.mark.parametrize("fault", ONCE_EACH.values(), ids=ONCE_EACH.keys())
def test_an_answer_spoiled_once_is_asked_for_again(world, fault):
    world.fill(12)
    world.proxy.decide = First(fault)
    outcome = world.run(silence_s=silence_s(fault))
    assert (outcome.fetched, outcome.failed, outcome.vanished) == (12, (), 0)
    assert world.is_same()
    assert max(world.proxy.gets().values()) <= 3
    assert world.partials() == []


FOR_EVER = {
    "short body": (Fault("short"), "broken"),
    "long body": (Fault("long"), "broken"),
    "wrong bytes": (Fault("corrupt"), "broken"),
    "a page with 200": (Fault("html"), "broken"),
    "reset": (Fault("reset"), "network"),
    "early close": (Fault("early"), "network"),
    "stall": (Fault("stall"), "network"),
}


@pytest.mark.parametrize(("fault", "kind"), FOR_EVER.values(), ids=FOR_EVER.keys())
def test_an_answer_spoiled_for_ever_is_named_and_nothing_is_stored(world, fault, kind):
    keys = list(world.fill(12))
    world.proxy.decide = First(fault, part=keys[3], times=10_000)
    outcome = world.run(silence_s=silence_s(fault), retries=2)
    assert [(failure.key, failure.kind, failure.tries) for failure in outcome.failed] == [(keys[3], kind, 3)]
    assert world.address.endpoint_url in outcome.failed[0].message
    assert (outcome.fetched, outcome.is_complete, outcome.ended) == (11, False, None)
    assert not (world.dest / keys[3]).exists()
    world.proxy.decide = None
    world.proxy.log.clear()
    assert world.run().fetched == 1
    assert set(world.proxy.gets()) == {keys[3]}
    assert world.is_same()


def test_metadata_that_was_not_listed_is_no_page_of_a_guest_network(world):
    world.put({"a/.zarray": b"{}"})
    world.proxy.decide = First(Fault("html"), times=99)
    outcome = world.run([Transfer("a/.zarray", required=True)], retries=1)
    assert [failure.kind for failure in outcome.failed] == ["broken"]
    assert not (world.dest / "a/.zarray").exists()


def test_an_absent_chunk_is_remembered_and_not_asked_for_again(world):
    world.put({"a/0": b"abc"})
    wanted = [Transfer("a/0"), Transfer("a/1")]
    outcome = world.run(wanted)
    assert (outcome.fetched, outcome.absent, outcome.is_complete) == (1, 1, True)
    world.proxy.log.clear()
    assert world.run(wanted).absent == 1
    assert world.proxy.log == []


def test_an_absent_chunk_that_is_listed_later_is_fetched(world):
    world.run([Transfer("a/1")])
    world.put({"a/1": b"abc"})
    assert world.run(world.listed("a")).fetched == 1


def test_absent_metadata_is_an_error(world):
    outcome = world.run([Transfer("a/.zarray", required=True)])
    assert [(failure.key, failure.kind) for failure in outcome.failed] == [("a/.zarray", "missing")]
    assert not Ledger.open(world.dest).is_absent("a/.zarray")


def test_a_listed_object_that_is_gone_is_asked_for_thrice_and_told(world):
    keys = list(world.fill(3))
    wanted = world.listed()
    (world.source / keys[0]).unlink()
    outcome = world.run(wanted)
    assert (outcome.fetched, outcome.absent, outcome.vanished) == (2, 1, 1)
    assert world.proxy.gets()[keys[0]] == 3


def test_a_bucket_that_refuses_is_one_message_and_few_requests(world):
    world.fill(300)
    world.proxy.decide = First(status(403, "AccessDenied"), times=99)
    outcome = world.run(width=4)
    assert outcome.ended is not None
    assert outcome.ended.kind == "denied"
    for part in (world.address.endpoint_url, world.address.bucket, outcome.ended.key):
        assert part in outcome.ended.message
    assert len(world.proxy.log) <= 10
    assert max(world.proxy.gets().values()) == 1
    assert (outcome.absent, outcome.fetched) == (0, 0)
    assert outcome.failed_count + outcome.untried == 300


def test_one_refused_object_is_neither_absent_nor_the_end(world):
    keys = list(world.fill(20))
    world.proxy.decide = First(status(403, "AccessDenied"), part=keys[5], times=99)
    outcome = world.run()
    assert [(failure.key, failure.kind, failure.tries) for failure in outcome.failed] == [(keys[5], "denied", 1)]
    assert (outcome.fetched, outcome.ended) == (19, None)
    assert not Ledger.open(world.dest).is_absent(keys[5])


def test_a_clock_that_is_off_is_said(world):
    world.fill(5)
    world.proxy.decide = First(status(403, "RequestTimeTooSkewed"), times=99)
    outcome = world.run()
    assert "clock" in outcome.ended.message


def test_a_bucket_that_does_not_exist_ends_the_run_and_makes_nothing_absent(world):
    world.address = BucketAddress(world.proxy.url, "no-such-bucket")
    outcome = world.run([Transfer(f"a/{i}") for i in range(50)])
    assert (outcome.ended.kind, outcome.absent) == ("fatal", 0)
    assert "no-such-bucket" in outcome.ended.message


def test_retry_after_is_honoured(world, monkeypatch):
    """The first who is told asks once more, for how long; then all are quiet until that time is over."""
    monkeypatch.setattr("cellmap_tui.storage.calls._SCOUT_ANSWERS_S", 60.0)
    world.fill(30)
    asked, again = set(), []

    def busy(request):
        if request.key in asked:
            again.append(request.at_s)
        is_told = request.key not in asked or len(again) == 1
        asked.add(request.key)
        return status(503, "SlowDown", retry_after=2) if is_told else None

    world.proxy.decide = busy
    assert world.run().is_complete
    assert min(again[1:]) >= again[0] + 2
    assert len(world.proxy.log) == 1 + 2 * 30


def test_a_limit_of_requests_a_second_is_found_and_used(world):
    world.fill(200, size=(50, 100))
    world.proxy.decide = RateLimit(50)  # less than any machine asks for, however busy
    outcome = world.run()
    assert outcome.is_complete
    assert len(world.proxy.log) <= 1.3 * 200 + 64
    assert min(progress.width for progress in world.report.seen) < 32


@pytest.mark.slow
def test_a_limit_of_200_requests_a_second_costs_few_refusals(world):
    """That most of the limit is used is tested where the time is made up, with the width of requests."""
    world.fill(3000, size=(50, 100))
    world.proxy.decide = RateLimit(200)
    assert world.run().is_complete
    assert len(world.proxy.log) <= 1.3 * 3000


def test_noise_changes_no_byte_and_costs_few_requests(world):
    world.fill(1500, size=(50, 500))
    world.proxy.decide = Noise()
    assert world.run().is_complete
    assert world.is_same()
    assert len(world.proxy.log) <= 1.2 * 1500


def test_an_outage_is_waited_for_and_fails_nothing(world):
    world.fill(150)
    world.proxy.delay_s = 0.02

    def pull_the_plug():
        if len(world.report.states) >= 20 and not world.report.waits:
            world.report.on_checkpoint = lambda: None
            world.proxy.go_down()

    world.report.on_checkpoint = pull_the_plug
    world.report.on_waiting = lambda: world.proxy.come_back_after(1)
    before_s = time.time()
    outcome = world.run(width=4, retries=1)
    assert (outcome.fetched, outcome.failed, outcome.ended) == (150, (), None)
    assert world.is_same()
    assert before_s <= world.report.waits[0].since_s <= time.time()
    assert "no connection" in world.report.waits[0].reason
    assert len(world.report.returns) == len(world.report.waits) == 1
    assert outcome.waited_s > 0


def test_an_outage_of_resets_is_an_outage_too(world):
    world.fill(40)
    world.proxy.decide = lambda request: Fault("reset")
    world.report.on_waiting = lambda: threading.Timer(1, setattr, (world.proxy, "decide", None)).start()
    outcome = world.run(retries=1)
    assert (outcome.fetched, outcome.failed) == (40, ())
    assert len(world.report.waits) == 1


def test_an_outage_of_slow_downs_is_an_outage_too(world):
    world.fill(40)
    ends_at = time.monotonic() + 1
    world.proxy.decide = lambda request: status(503) if time.monotonic() < ends_at else None
    outcome = world.run(retries=1)
    assert (outcome.fetched, outcome.failed) == (40, ())


def test_a_server_that_stays_away_ends_the_run_and_says_so(world):
    world.fill(40)
    transfers = world.listed()
    assert world.run(transfers[:10]).fetched == 10
    world.proxy.go_down()
    outcome = world.run(transfers, patience_s=1)
    assert (outcome.skipped, outcome.ended.kind, outcome.is_complete) == (10, "offline", False)
    assert outcome.failed_count + outcome.untried == 30
    world.proxy.come_back()
    assert world.run(transfers).is_complete


def test_a_name_that_is_not_resolved_is_waited_for_and_said(world):
    world.address = BucketAddress("http://no-such-host.invalid", "b")
    outcome = world.run([Transfer("a")], patience_s=1)
    assert "name is not resolved" in world.report.waits[0].reason
    assert (outcome.ended.kind, outcome.ended.key) == ("offline", "a")
    assert "name is not resolved" in outcome.ended.message


@pytest.mark.parametrize(
    "key", ["../out", "a/../../out", "/out", "a//b", "a/./b", "a\nb", "é", "a\\b", ".cellmap-tui/x", ""]
)
def test_a_key_that_leads_elsewhere_is_refused_before_anything_is_written(world, tmp_path, key):
    outcome = world.run([Transfer(key, 3, None)])
    assert [failure.kind for failure in outcome.failed] == ["key"]
    assert world.proxy.log == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_way_of_a_folder_fails_that_object_only(world):
    world.put({"a/b/0": b"1", "c/0": b"2"})
    world.dest.mkdir()
    (world.dest / "a").write_text("in the way")
    outcome = world.run([*world.listed("a"), *world.listed("c")])
    assert (outcome.fetched, [failure.kind for failure in outcome.failed], outcome.ended) == (1, ["disk"], None)


def test_listings_survive_spoiled_answers(world):
    world.fill(2300, size=(1, 3))
    spoiled = iter([Fault("reset"), status(503), Fault("html"), Fault("early"), status(500)])
    world.proxy.decide = lambda request: next(spoiled, None)
    found = list_prefixes(world.bucket(), ["ds/em", "ds/none"], world.report)
    assert ([len(found["ds/em"]), found["ds/none"]]) == ([2300, []])
    assert [o.key for o in found["ds/em"]] == sorted(o.key for o in found["ds/em"])
    assert len(world.proxy.log) <= 4 + 5 + 3


def test_folders_are_listed_one_step_deep(world):
    world.put({"a/b/c/0": b"1", "a/b/d/0": b"2", "a/b/.zgroup": b"{}"})
    folder = list_folders(world.bucket(), ["a/b"])["a/b"]
    assert folder.folders == ("a/b/c", "a/b/d")
    assert [o.key for o in folder.objects] == ["a/b/.zgroup"]


def test_a_listing_that_is_refused_or_without_a_bucket_is_told(world):
    world.proxy.decide = lambda request: status(403, "AccessDenied")
    with pytest.raises(CellmapError, match=f"{world.address.bucket} at .*, ds: the server refuses"):
        list_prefixes(world.bucket(), ["ds"])
    assert len(world.proxy.log) == 1
    world.proxy.decide = lambda request: status(404, "NoSuchBucket")
    with pytest.raises(CellmapError, match="does not give out this bucket"):
        list_prefixes(world.bucket(), ["ds"])


def test_a_server_that_names_no_such_key_for_a_listing_is_told(world):
    world.proxy.decide = lambda request: status(404, "NoSuchKey")
    with pytest.raises(MissingDataError):
        list_prefixes(world.bucket(), ["ds"])


@pytest.mark.parametrize("url", ["ftp://host", "host:1", "http://", "http://host:x"])
def test_an_endpoint_that_is_no_address_is_refused(url):
    with pytest.raises(CellmapError, match="is no address"):
        open_bucket(BucketAddress(url, "b"))


def test_a_bundle_of_certificates_that_cannot_be_read_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", os.fspath(tmp_path / "none.pem"))
    with pytest.raises(CellmapError, match="AWS_CA_BUNDLE"):
        open_bucket(BucketAddress("https://host", "b"))
