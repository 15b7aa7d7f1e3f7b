"""What a finished run was asked and what it has found, as their models. Called in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cellmap_tui.errors import DataError, MissingDataError

if TYPE_CHECKING:
    from pathlib import Path

Request = TypeVar("Request")
Result = TypeVar("Result")


def read_run(
    run_path: Path, request_model: type[Request], result_model: type[Result], again: str
) -> tuple[Request, Result]:
    """Read request and result of a run.

    Parameters
    ----------
    run_path
        Its folder.
    request_model
        The model of the request.
    result_model
        The model of the result.
    again
        What to do where there is no result, such as ``tune again``.

    Raises
    ------
    CellmapError
        If they are gone, damaged, or of another version.
    """
    from cellmap_tui.jobs.files import read_json_object
    from cellmap_tui.jobs.rundir import RunDir, read_request
    from cellmap_tui.services.models import from_mapping

    run = RunDir(run_path)
    found = read_json_object(run.result_path)
    if found is None:
        raise MissingDataError(f"{run.result_path} is gone", again)
    value = found.get("value", found)
    if not isinstance(value, dict):
        raise DataError(f"{run.result_path} holds no result", again)
    request = from_mapping(read_request(run).values, request_model, source=str(run.request_path))
    return request, from_mapping(value, result_model, source=str(run.result_path))
