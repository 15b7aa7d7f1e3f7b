"""Volumes on disk: OME-NGFF reading and writing, geometry in nanometres, resampling, slices."""
