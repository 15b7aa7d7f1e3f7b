"""What runs have told, read from outside: series, foreign logs, diagnosis, comparison, export."""
