"""What can go wrong by a user's hand, told in one place.

Every error that a user can cause is a `CellmapError`: a message that says what was wrong and where,
a remedy that says what to do next, a kind for programs and an exit code for shells. The front ends
turn it into a toast, a pane or one line on stderr. Anything else that is raised is a bug and keeps
its traceback.
"""

from __future__ import annotations


class CellmapError(Exception):
    """An error that a user can cause and mend.

    Parameters
    ----------
    message
        What was wrong and where, in one line.
    remedy
        What to do next, in one line; may be empty when the message says it already.
    """

    kind = "failed"
    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class RequestError(CellmapError, ValueError):
    """The request was wrong: a bad value, an unknown name, a missing argument."""

    kind = "request"
    exit_code = 2


class UnknownNameError(RequestError, LookupError):
    """A crop, class, dataset, run or setting that does not exist."""

    kind = "unknown_name"


class DataError(CellmapError, ValueError):
    """A file on disk or an answer from a server that is not what its format says."""

    kind = "data"


class MissingDataError(CellmapError, FileNotFoundError):
    """Data that the request needs and that are not there."""

    kind = "missing"

    def __str__(self) -> str:
        return CellmapError.__str__(self)


class RefusedError(CellmapError):
    """Refused for safety: disk, size, overwriting, untrusted code. The remedy names the flag that allows it."""

    kind = "refused"
    exit_code = 3


class Stopped(CellmapError):  # noqa: N818 - not a failure: the user asked for it
    """The user asked the work to stop; what is done is kept and the work can be resumed."""

    kind = "stopped"
    exit_code = 130
