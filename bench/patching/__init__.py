"""The sides of bench/patches.py, each a process of its own."""
