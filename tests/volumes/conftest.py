"""Property tests of volumes touch the disk: how long one example takes says nothing."""

from hypothesis import settings

settings.register_profile("disk", deadline=None)
settings.load_profile("disk")
