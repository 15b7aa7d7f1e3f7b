"""What is said of a bucket that does not answer."""

from __future__ import annotations

import asyncio
import re

import pytest

from cellmap_tui.services.fetch_bucket import told
from cellmap_tui.storage import outage
from cellmap_tui.storage.bucket import BucketAddress
from cellmap_tui.storage.calls import GaveUpError
from cellmap_tui.storage.faults import Fault, FaultError, Kind


@pytest.mark.parametrize(("tries", "words"), [(1, "(1 try)"), (3, "(3 tries)")])
def test_one_try_is_a_try(tries, words):
    error = told("a/b", BucketAddress(), GaveUpError(Fault(Kind.OFFLINE, "no connection"), tries))
    assert error.message.endswith(words)


def test_who_waits_for_the_server_is_told_at_once_until_when(monkeypatch):
    class Listener:
        said = ""

        def waiting(self, since_s, reason):
            self.said = reason

        def resumed(self, waited_s):
            raise AssertionError

    async def probe():
        raise ConnectionError("refused")

    monkeypatch.setattr(outage, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(outage, "classify", lambda error: Fault(Kind.NETWORK, "no connection to the server"))
    listener = Listener()

    async def wait():
        await outage.Outage(probe, 0.0, listener).is_confirmed("away")

    with pytest.raises(FaultError):
        asyncio.run(wait())
    assert re.fullmatch(r"no connection to the server, waited for until \d\d:\d\d:\d\d", listener.said)
