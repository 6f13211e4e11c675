"""Initial weights of neural networks as virtual safetensors files.

Four rooms, arrows one way: `web` → `files` → `init` → `stream`. `errors` is the leaf that all may
import; `cli` reads the same virtual files as `web`.
"""
