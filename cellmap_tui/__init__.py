"""cellmap-tui: one tool for the CellMap Segmentation Challenge, from browsing to submission.

Every command is a function with the same name: ``cm.crops("mito voxel<=4")``, ``cm.classes()``,
``cm.demo(root="demo")``, ``cm.import_(dataset="mine", raw="em.tif", voxel_size_nm=(50, 4, 4))``. They take the
options as keywords or their request model, and return the typed result. Importing the package is cheap: what a
function needs is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from cellmap_tui.api import (
        batch_eval,
        catalog_refresh,
        classes,
        config,
        crop_annotations,
        crop_detail,
        crops,
        demo,
        doctor,
        draw_slice,
        evaluate,
        export,
        fetch_archive,
        fetch_data,
        get_counts,
        import_,
        make_datasplit,
        map_labels,
        pack_results,
        patches,
        plan,
        predict,
        process,
        resolve,
        run,
        runs,
        save_volume,
        speedtest,
        submissions,
        train,
        tune,
        validate_submission,
        verify,
        visualize,
    )

__all__ = [
    "__version__",
    "batch_eval",
    "catalog_refresh",
    "classes",
    "config",
    "crop_annotations",
    "crop_detail",
    "crops",
    "demo",
    "doctor",
    "draw_slice",
    "evaluate",
    "export",
    "fetch_archive",
    "fetch_data",
    "get_counts",
    "import_",
    "make_datasplit",
    "map_labels",
    "pack_results",
    "patches",
    "plan",
    "predict",
    "process",
    "resolve",
    "run",
    "runs",
    "save_volume",
    "speedtest",
    "submissions",
    "train",
    "tune",
    "validate_submission",
    "verify",
    "visualize",
]


def __getattr__(name: str) -> object:
    """Import a function of the interface when it is first used."""
    from importlib import import_module

    wanted = "import_" if name == "import" else name
    if wanted not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("cellmap_tui.api"), wanted)


def __dir__() -> list[str]:
    """Name the interface."""
    return __all__
