"""A bucket of an S3 server, read anonymously: get an object, list below a prefix.

Every call is one try: who calls decides about retries, width and waiting (see `calls`). The client is
obstore: on two cores it carries about twice the objects of boto3 at half the CPU.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.storage.at_rest import rest_before_the_end
from cellmap_tui.storage.objects import RemoteObject, plain_etag

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Store

PAGE = 1000
"""Keys that a server lists at most in one answer."""
# Certificates of a proxy or a server of one's own, by the names that other S3 clients know.
_CA_FILES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROBE = "cellmap-tui-asks-whether-the-server-answers"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a bucket is."""

    endpoint_url: str = ""
    """The server, as ``https://host:port``; empty for AWS; ``file:///folder`` for a copy of its buckets on disk."""
    bucket: str = "janelia-cosem-datasets"
    """Name of the bucket."""
    region: str = "us-east-1"
    """Region of AWS."""
    profile: str = ""
    """Profile of the AWS configuration to sign with; empty to read anonymously."""

    def __str__(self) -> str:
        return f"s3://{self.bucket} at {self.endpoint_url}" if self.endpoint_url else f"s3://{self.bucket}"


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies directly below a prefix."""

    objects: tuple[RemoteObject, ...]
    """The objects, in the order of their keys."""
    folders: tuple[str, ...]
    """The prefixes one step deeper, without their last slash."""


class Bucket:
    """An open bucket; its connections are kept and shared by all calls."""

    def __init__(self, address: BucketAddress, store: S3Store) -> None:
        self.address = address
        self._store = store

    async def get(self, key: str) -> GetResult:
        """Ask for an object; the answer has ``meta``, and its body is still to be read."""
        import obstore

        return await obstore.get_async(self._store, key)

    async def list_page(self, prefix: str, after: str = "") -> tuple[RemoteObject, ...]:
        """Return up to 1000 objects below `prefix`, those whose key comes after `after`, in the order of keys."""
        import obstore

        stream: Any = obstore.list(self._store, prefix or None, offset=after or None, chunk_size=PAGE)
        async for page in stream:
            return tuple(_remote(meta) for meta in page)
        return ()

    async def list_all(self, prefix: str) -> tuple[RemoteObject, ...]:
        """Return every object below `prefix`, however deep, in the order of keys."""
        import obstore

        stream: Any = obstore.list(self._store, prefix or None, chunk_size=PAGE)
        return tuple([_remote(meta) async for page in stream for meta in page])

    async def list_folder(self, prefix: str) -> Folder:
        """Return the objects and folders directly below `prefix`."""
        import obstore

        answer: Any = await obstore.list_with_delimiter_async(self._store, prefix or None)
        objects = tuple(_remote(meta) for meta in answer["objects"])
        return Folder(objects, tuple(answer["common_prefixes"]))

    async def probe(self) -> None:
        """Ask for next to nothing, to see whether the server answers at all."""
        await self.list_folder(_PROBE)


def open_bucket(
    address: BucketAddress, *, silence_s: float = 15.0, connect_s: float = 10.0, connections: int = 256
) -> Bucket:
    """Open a bucket; nothing is asked yet.

    Parameters
    ----------
    address
        Where it is.
    silence_s
        Seconds without a byte after which a request has failed.
    connect_s
        Seconds that a connection may take to be made.
    connections
        Idle connections that are kept.

    Raises
    ------
    RequestError
        If the address cannot be one.
    MissingDataError
        If it is a folder on disk that does not exist.
    """
    if address.endpoint_url.startswith("file://"):
        from cellmap_tui.storage.folder_bucket import open_folder

        rest_before_the_end()
        return open_folder(address)
    from datetime import timedelta

    from obstore.store import S3Store

    rest_before_the_end()
    options: dict[str, Any] = {
        # A large object on a slow link takes long; only silence is a fault.
        "timeout": timedelta(days=1),
        "read_timeout": timedelta(seconds=silence_s),
        "connect_timeout": timedelta(seconds=connect_s),
        "pool_max_idle_per_host": str(connections),
        "allow_http": address.endpoint_url.startswith("http://"),
    }
    certificates = _own_certificates()
    if certificates:
        options["root_certificate"] = certificates
    where: dict[str, Any] = {"region": address.region}
    if address.endpoint_url:
        where.update(endpoint=_checked_endpoint(address.endpoint_url), virtual_hosted_style_request=False)
    try:
        store = S3Store(
            address.bucket,
            client_options=options,  # type: ignore[arg-type]
            retry_config={"max_retries": 0},
            **_signature(address.profile),
            **where,
        )
    except Exception as error:  # noqa: BLE001 - obstore's own errors for a bad address have no common base
        raise RequestError(
            f"{address} cannot be opened: {_first_line(error)}", "check the bucket's address"
        ) from None
    return Bucket(address, store)


def _checked_endpoint(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise RequestError(f"the endpoint {url!r} is no address", "write it as https://host or http://host:port")
    return url.rstrip("/")


def _signature(profile: str) -> dict[str, Any]:
    if not profile:
        return {"skip_signature": True}
    import boto3  # 200 ms; only signed access needs it
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return {"credential_provider": Boto3CredentialProvider(boto3.Session(profile_name=profile))}
    except Exception as error:  # noqa: BLE001 - botocore has many, all say which part of the configuration
        raise RequestError(f"the AWS profile {profile!r} cannot be used: {error}", "check `aws configure`") from None


def _own_certificates() -> bytes | None:
    for name in _CA_FILES:
        path = os.environ.get(name)
        if path:
            try:
                return Path(path).read_bytes()
            except OSError as error:
                raise RequestError(f"{name} names {path}: {error.strerror}", "correct or unset it") from None
    return None


def _remote(meta: Any) -> RemoteObject:
    return RemoteObject(meta["path"], meta["size"], plain_etag(meta["e_tag"]))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
