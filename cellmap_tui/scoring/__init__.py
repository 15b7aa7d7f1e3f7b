"""Scoring as the challenge does it: reading submissions, aligning, matching, distances and aggregation."""
