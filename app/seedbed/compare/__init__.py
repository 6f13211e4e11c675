"""Networks at their start, measured layer by layer beside theory. Knows nothing of HTTP."""
