"""What a failed request means: wait, try again, absent, denied, or no use at all.

obstore raises few types and says the rest in words: the status and body of an answer, or the kind of an
error of the connection. Those words are read here and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from cellmap_tui.text import cut_middle, printable

_STATUS = re.compile(r"non-2xx status code: (\d{3})([^\n]*)")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_REASON = re.compile(
    r'"(dns error|tcp connect error)"|(Connection ?[Rr]efused|Connection ?[Rr]eset|TimedOut|IncompleteBody)'
)
_THROTTLED = {429, 500, 502, 503, 504, 509}
_CERTIFICATE = ("invalid peer certificate", "UnknownIssuer", "InvalidCertificate")
_WORDS = {
    "dns error": "the server's name is not resolved",
    "tcp connect error": "no connection to the server",
    "TimedOut": "the server is silent",
    "IncompleteBody": "the answer broke off",
}


class Kind(Enum):
    """What to do about a fault."""

    SLOW_DOWN = auto()
    """The server has too much to do: wait and ask less."""
    NETWORK = auto()
    """The connection failed, broke off or fell silent: try again, or wait until the server is back."""
    BROKEN = auto()
    """An answer came and was wrong: try again, not for ever."""
    ABSENT = auto()
    """The bucket does not have the object."""
    DENIED = auto()
    """The server refuses: no use in trying again."""
    FATAL = auto()
    """No request of this run can succeed."""
    OFFLINE = auto()
    """The server stayed away for longer than anybody waits."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failed request."""

    kind: Kind
    """What to do about it."""
    message: str
    """What happened, for people."""


class FaultError(Exception):
    """A fault that our own checks found, raised to be handled like those of the client."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def broken(message: str) -> FaultError:
    """Return the error of an answer that is not what it should be."""
    return FaultError(Fault(Kind.BROKEN, message))


def classify(error: Exception) -> Fault:
    """Return what a failed request means.

    Parameters
    ----------
    error
        What the client raised.
    """
    if isinstance(error, FaultError):
        return error.fault
    if isinstance(error, TimeoutError):
        return Fault(Kind.NETWORK, "the server is silent")
    words = str(error)
    status = _STATUS.search(words)
    if status:
        return _by_status(int(status[1]), words)
    if any(sign in words for sign in _CERTIFICATE):
        return Fault(Kind.FATAL, "the server's certificate is not trusted; name your own in AWS_CA_BUNDLE")
    if "BareRedirect" in words:
        return Fault(Kind.FATAL, "the bucket is in another region")
    if "HttpError" in words or "HTTP error" in words:
        return Fault(Kind.NETWORK, _network_words(words))
    return Fault(Kind.BROKEN, cut_middle(printable(words.partition("\n")[0]), 200))


def _by_status(status: int, words: str) -> Fault:
    code = _CODE.search(words)
    name = code[1] if code else ""
    said = f"{status} {name}".strip()
    if name == "RequestTimeTooSkewed":
        return Fault(Kind.FATAL, "the server says that this machine's clock is off; set it")
    if name in {"NoSuchBucket", "AllAccessDisabled", "InvalidBucketName", "PermanentRedirect"}:
        return Fault(Kind.FATAL, f"the server does not give out this bucket ({said})")
    if status in _THROTTLED or name == "SlowDown":
        return Fault(Kind.SLOW_DOWN, f"the server answers {said}")
    if status == 404:
        # A page of something on the way says nothing about the bucket.
        is_page = "<html" in words.lower()
        return Fault(Kind.BROKEN if is_page else Kind.ABSENT, f"the server answers {said}")
    if status in {401, 403}:
        return Fault(Kind.DENIED, f"the server refuses it ({said})")
    if status == 408 or name == "RequestTimeout":
        return Fault(Kind.NETWORK, f"the server answers {said}")
    if status in {301, 307, 400, 405, 407, 501}:
        return Fault(Kind.FATAL, f"the server does not take the request ({said})")
    return Fault(Kind.BROKEN, f"the server answers {said}")


def _network_words(words: str) -> str:
    reason = _REASON.search(words)
    if reason is None:
        return "the connection broke"
    found = reason[1] or reason[2]
    return _WORDS.get(found, found.lower())
