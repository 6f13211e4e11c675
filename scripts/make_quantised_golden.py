"""Write tests/quantization/vectors.json: what is missing in it, by the NumPy definition."""

from __future__ import annotations

import hashlib
import json

from seedbed.quantization import SHORT
from tests.quantization.test_quantise import VECTORS, checkpoint, contents


def main() -> None:
    """Add what is missing; what is there is a law."""
    found = json.loads(VECTORS.read_text(encoding="utf-8")) if VECTORS.exists() else {}
    for name in SHORT:
        found.setdefault(
            name,
            {
                key: [code, shape, text[:64], hashlib.sha256(bytes.fromhex(text)).hexdigest()]
                for key, (code, shape, text) in contents(checkpoint(name, "numpy")).items()
            },
        )
    VECTORS.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
