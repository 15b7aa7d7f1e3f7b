"""A real server, a bucket of its own for each test, and a proxy that spoils its answers."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from cellmap_tui.storage.bucket import BucketAddress, open_bucket
from cellmap_tui.storage.listing import list_prefixes
from cellmap_tui.storage.transfer import SilentTransferReport, Transfer, TransferOptions, run_transfers
from tests.s3 import serve_s3
from tests.storage.proxy import FaultProxy


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """Serve a folder of buckets, to which tests add their own."""
    with serve_s3(tmp_path_factory.mktemp("buckets")) as server:
        yield server


@pytest.fixture
def bucket_name(request, s3_server):
    """Return the name of a new bucket."""
    name = f"b{abs(hash(request.node.nodeid)) % 10**12}-{len(list(s3_server.root.iterdir()))}"
    s3_server.make_bucket(name)
    return name


@pytest.fixture
def proxy(s3_server):
    """Stand in front of the server."""
    with FaultProxy(s3_server.url) as running:
        yield running


@pytest.fixture
def world(s3_server, bucket_name, proxy, tmp_path):
    """Give everything a transfer needs, faults included, with patience counted in seconds."""
    return World(s3_server.root / bucket_name, proxy, tmp_path / "data")


class World:
    """A bucket behind a proxy and a folder for its objects."""

    def __init__(self, source, proxy, dest):
        self.source = source
        self.proxy = proxy
        self.dest = dest
        self.address = BucketAddress(proxy.url, source.name)
        self.report = Told()

    def fill(self, count, size=(100, 3000), prefix="ds/em/s0", seed=0):
        """Put random objects into the bucket; return them by key."""
        numbers = random.Random(seed)
        objects = {
            f"{prefix}/{i // 100}/{i // 10 % 10}/{i % 10}": numbers.randbytes(numbers.randint(*size))
            for i in range(count)
        }
        self.put(objects)
        return objects

    def put(self, objects):
        """Put objects into the bucket."""
        for key, body in objects.items():
            path = self.source / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def bucket(self, silence_s=5.0):
        """Open the bucket through the proxy."""
        return open_bucket(self.address, silence_s=silence_s, connect_s=2.0)

    def listed(self, prefix="ds"):
        """Return transfers for everything listed below a prefix; the listing is not in the log."""
        found = list_prefixes(open_bucket(BucketAddress(self.proxy.upstream, self.source.name)), [prefix])
        return [Transfer(o.key, o.size_bytes, o.etag) for o in found[prefix]]

    def run(self, transfers=None, *, silence_s=5.0, ledger=None, **options):
        """Run transfers, by default all that are listed."""
        wanted = self.listed() if transfers is None else transfers
        given = TransferOptions(**{"patience_s": 20.0, **options})
        return run_transfers(
            self.bucket(silence_s), wanted, self.dest, ledger=ledger, options=given, report=self.report
        )

    def asked(self):
        """Return how many requests for objects the server saw."""
        return sum(bool(request.key) for request in list(self.proxy.log))

    def is_same(self):
        """Return whether the data root holds exactly what the bucket holds."""
        from tests.s3 import tree_hash

        return tree_hash(self.dest) == tree_hash(self.source)

    def partials(self):
        """Return what is left of temporary files and locks."""
        tool = self.dest / ".cellmap-tui"
        return [*tool.glob("partial/*"), *tool.rglob("*.lock"), *tool.rglob("*.tmp"), *self.dest.rglob("*.part")]


class Told(SilentTransferReport):
    """Keeps what it was told."""

    def __init__(self):
        self.states = {}
        self.waits = []
        self.returns = []
        self.checks = 0
        self.seen = []
        self.on_checkpoint = lambda: None
        self.on_waiting = lambda: None

    def settled(self, transfer, state):
        """Keep it."""
        self.states[transfer.key] = state

    def progress(self, progress):
        """Keep it."""
        self.seen.append(progress)

    def waiting(self, since_s, reason):
        """Keep it, and do what the test wants."""
        self.waits.append(SimpleNamespace(since_s=since_s, reason=reason))
        self.on_waiting()

    def resumed(self, waited_s):
        """Keep it."""
        self.returns.append(waited_s)

    def checkpoint(self):
        """Do what the test wants."""
        self.checks += 1
        self.on_checkpoint()
