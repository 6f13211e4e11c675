"""Seedbed beside what one would use instead, measured in turn: `python -m benchmarks`."""
