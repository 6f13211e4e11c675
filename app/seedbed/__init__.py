"""Initial weights of neural networks as virtual safetensors files.

Rooms, arrows one way: `web` → `advice`, `compare`, `hub`, `registry` → `files` → `models` →
`init` → `stream`. `errors` is a leaf that all may import; `cli` and `disk` read the same virtual
files as `web`.
"""
