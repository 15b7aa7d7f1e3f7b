"""How long a server wants to be left alone: the Retry-After that obstore does not pass on.

The server is asked for the object once more with the standard library, whose answer has all headers.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from cellmap_tui.storage.bucket import BucketAddress

LONGEST_S = 120.0


def ask_retry_after(address: BucketAddress, key: str, timeout_s: float = 5.0) -> float | None:
    """Return for how many seconds the server wants no requests; None if it does not say.

    Blocks; to be called in a thread.
    """
    import urllib.error
    import urllib.request

    base = address.endpoint_url or f"https://s3.{address.region}.amazonaws.com"
    url = f"{base.rstrip('/')}/{quote(address.bucket)}/{quote(key)}"
    if urlsplit(url).scheme not in {"http", "https"}:
        return None
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        with error:
            return parse_retry_after(error.headers.get("Retry-After"))
    except (OSError, ValueError):
        return None


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header says, as a number or as a date; None for neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_S) if seconds == seconds else None
