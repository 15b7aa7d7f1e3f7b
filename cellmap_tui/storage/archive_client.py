"""One large object of the bucket, read by ranges: the only place that knows boto3.

The client's own retries are off, because a part that broke off goes on at the byte where it broke,
which boto3 cannot do. What goes wrong is sorted here into what may be tried again
(`TransientError`), a changed archive (`ArchiveChangedError`) and what only the user can mend.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.storage.objects import plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.storage.bucket import BucketAddress

READ_BYTES = 1 << 18
"""How much of a body is read at a time; also how soon a stop is noticed."""
CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 15.0
"""After this long without a byte a request is given up and made again."""

_CA_FILES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_SLOW_DOWN = {429, 503}
_SLOW_DOWN_CODES = {"SlowDown", "TooManyRequests", "Throttling", "RequestLimitExceeded"}
_OFFLINE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionError",
    "ProxyConnectionError",
    "HTTPClientError",
}
"""botocore's names for "nobody there"; kept as names so that sorting an error imports nothing."""


@dataclass(frozen=True, slots=True)
class ArchiveHead:
    """Which version of which archive."""

    key: str
    """Key in the bucket."""
    size_bytes: int
    """Size of the archive."""
    etag: str
    """ETag without quotes; names this version."""


class TransientError(Exception):
    """Something that may work when it is tried again.

    Parameters
    ----------
    kind
        ``slow``: the server asks for fewer requests; ``offline``: nobody answers; ``broken``: an
        answer that is not whole or not right.
    message
        What was seen, for people.
    retry_after_s
        How long the server asks to wait; 0: it does not say.
    """

    def __init__(self, kind: Literal["slow", "offline", "broken"], message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


class ArchiveChangedError(DataError):
    """The archive in the bucket is not the one whose parts were fetched before."""


class ArchiveClient:
    """Reads archives of one bucket; safe to use from several threads.

    Parameters
    ----------
    address
        Where the bucket is.
    connections
        Requests that may be open at once.
    """

    def __init__(self, address: BucketAddress, connections: int) -> None:
        self.address = address
        self._client = _make_client(address, connections)

    def head(self, key: str) -> ArchiveHead:
        """Ask for size and ETag.

        Raises
        ------
        MissingDataError
            If the bucket has no such archive.
        CellmapError
            If access is denied, or the answer cannot be used.
        TransientError
            If it may work later.
        """
        with _sorted_errors(self.address, key):
            answer = self._client.head_object(Bucket=self.address.bucket, Key=key)
        etag = plain_etag(answer.get("ETag"))
        if not etag:
            raise DataError(
                f"{archive_url(self.address, key)} has no ETag", "nothing would tell one version from another"
            )
        return ArchiveHead(key, int(answer["ContentLength"]), etag)

    def read_range(self, head: ArchiveHead, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` to `stop` of this version of an archive, in blocks.

        Raises
        ------
        ArchiveChangedError
            If the bucket holds another version by now.
        TransientError
            If the body breaks off or is not the range that was asked for; what was yielded is good.
        CellmapError
            If access is denied, the archive is gone, or the server does not serve ranges.
        """
        with _sorted_errors(self.address, head.key):
            answer = self._client.get_object(
                Bucket=self.address.bucket,
                Key=head.key,
                Range=f"bytes={start}-{stop - 1}",
                IfMatch=f'"{head.etag}"',
            )
            with contextlib.closing(answer["Body"]) as body:
                _check_answer(answer, head, start, stop, self.address)
                yield from body.iter_chunks(READ_BYTES)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def archive_url(address: BucketAddress, key: str) -> str:
    """Return an object's address for people."""
    at = f" at {address.endpoint_url}" if address.endpoint_url else ""
    return f"s3://{address.bucket}/{key}{at}"


def _make_client(address: BucketAddress, connections: int) -> Any:
    import boto3  # 0.4 s with a client
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        signature_version=None if address.profile else UNSIGNED,
        max_pool_connections=connections,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=SILENCE_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": "path" if address.endpoint_url else "auto"},
        response_checksum_validation="when_required",  # a checksum of the whole says nothing about a range
    )
    try:
        session = boto3.session.Session(profile_name=address.profile or None)
        return session.client(
            "s3",
            region_name=address.region,
            endpoint_url=address.endpoint_url or None,
            config=config,
            verify=_own_certificates(),
        )
    except (BotoCoreError, ValueError) as error:
        raise RequestError(f"{address} cannot be opened: {error}", "check the endpoint and the profile") from None


def _own_certificates() -> str | None:
    """Return the file of certificates that the environment names; botocore itself knows two of the names."""
    return next((path for name in _CA_FILES if (path := os.environ.get(name))), None)


def _check_answer(answer: Any, head: ArchiveHead, start: int, stop: int, address: BucketAddress) -> None:
    metadata = answer["ResponseMetadata"]
    etag = plain_etag(answer.get("ETag"))
    if etag and etag != head.etag:
        raise _changed(address, head.key)
    if metadata["HTTPStatusCode"] == 200 and stop - start < head.size_bytes:
        raise CellmapError(
            f"{archive_url(address, head.key)}: the server answers a range with the whole object",
            "fetch without --zip from this server",
        )
    wanted = f"bytes {start}-{stop - 1}/{head.size_bytes}"
    told = str(answer.get("ContentRange") or wanted)
    if told != wanted or answer["ContentLength"] != stop - start:
        raise TransientError("broken", f"asked for {wanted}, got {told} in {answer['ContentLength']} bytes")


def _changed(address: BucketAddress, key: str) -> ArchiveChangedError:
    return ArchiveChangedError(
        f"{archive_url(address, key)} was replaced while it was fetched", "run the same command again"
    )


@contextlib.contextmanager
def _sorted_errors(address: BucketAddress, key: str) -> Iterator[None]:
    """Turn what botocore and urllib3 raise into errors of the house."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _from_answer(error.response, address, key) from None
    except (BotoCoreError, HTTPError, OSError) as error:
        if isinstance(error, CellmapError):
            raise
        raise _from_network(error, address) from None


def _from_network(error: Exception, address: BucketAddress) -> Exception:
    name = type(error).__name__
    words = re.sub(r"\s+", " ", str(error))[:300]
    if name in {"SSLError", "InvalidProxyConfigurationError", "ProxyConfigurationError"} and "certificate" in words:
        return CellmapError(
            f"{address.endpoint_url or 'the bucket'}: {words}", "name the CA with AWS_CA_BUNDLE, or check the proxy"
        )
    if name in {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError"}:
        return RequestError(words, "check the profile and the bucket's name")
    return TransientError("offline" if name in _OFFLINE else "broken", words)


def _from_answer(answer: Any, address: BucketAddress, key: str) -> Exception:
    metadata = answer.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode") or 0)
    code = str(answer.get("Error", {}).get("Code") or status)
    what = archive_url(address, key)
    if status in {412, 416}:
        return _changed(address, key)
    if status == 404:
        return MissingDataError(f"{what} does not exist", "check the bucket and the endpoint, or leave --zip out")
    if code == "RequestTimeTooSkewed":
        return CellmapError(f"{what}: the server says that this machine's clock is off", "set the clock")
    if status in {401, 403}:
        return CellmapError(
            f"{what}: access denied ({code})", "check the endpoint, the bucket and the proxy; access is anonymous"
        )
    retry_after_s = _seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
    if status in _SLOW_DOWN or code in _SLOW_DOWN_CODES:
        return TransientError("slow", f"the server asks to slow down ({status} {code})", retry_after_s)
    if status >= 500 or status in {0, 200, 206, 408} or code in {"RequestTimeout", "InternalError"}:
        return TransientError("broken", f"the server failed ({status} {code})", retry_after_s)
    return CellmapError(f"{what}: the server refused ({status} {code})", "check the endpoint and the bucket")


def _seconds(text: object) -> float:
    """Return a Retry-After in seconds; a date or nothing is 0, a long wait is cut to a minute."""
    try:
        return min(60.0, max(0.0, float(str(text))))
    except ValueError:
        return 0.0
