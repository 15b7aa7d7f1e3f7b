"""Property tests tell the same of the same commit, on every machine, however busy it is.

``pytest --hypothesis-profile=search`` looks at examples that nobody has seen yet.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""How long one example takes says nothing: a machine may be busy with other things."""

settings.register_profile("steady", derandomize=True, **BUSY)
settings.register_profile("search", **BUSY)
settings.load_profile("steady")
