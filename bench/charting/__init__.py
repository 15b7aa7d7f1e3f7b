"""Sides of bench/charts.py: the same curves in our chart and in two others, on a real terminal device."""
