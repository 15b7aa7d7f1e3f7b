"""Parts of bench/live.py: the app on a pseudo terminal, and trainings that look and grow like real ones."""
