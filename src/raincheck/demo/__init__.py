"""Raincheck's demo: four ways of handling a long request, each with real work. Start it with ``raincheck demo``."""

import os

# Before NumPy is imported anywhere: its thread pool would be copied into each forked child without its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
