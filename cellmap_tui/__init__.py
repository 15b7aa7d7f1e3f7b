"""cellmap-tui: one tool for the CellMap Segmentation Challenge, from browsing to submission."""
