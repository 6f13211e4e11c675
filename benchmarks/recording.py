"""How long recording large models takes, and how much memory beside the libraries themselves.

    python -m benchmarks.recording llama-3-8b|llama-3-70b|deepseek-v3

One model a process, so that memory is that of one model. Needs torch and transformers.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-3-8b": (
        "Llama",
        {
            "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        },
    ),
    "llama-3-70b": (
        "Llama",
        {
            "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672,
            "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
        },
    ),
    "deepseek-v3": ("DeepseekV3", {}),  # transformers' defaults are those of the release
}  # fmt: skip


def main() -> None:
    """Record one of the models, and print a line of JSON."""
    import transformers

    from seedbed.torch import record

    transformers.utils.logging.set_verbosity_error()
    family, given = CONFIGS[sys.argv[1]]
    config = getattr(transformers, f"{family}Config")(**given)
    build = getattr(transformers, f"{family}ForCausalLM")
    small = transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=8)
    record(lambda: transformers.GPT2LMHeadModel(small))  # so that imports are done
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    recording = record(lambda: build(config))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "model": sys.argv[1],
                "elements": recording.report.elements,
                "tensors": recording.report.tensors,
                "complete": recording.report.is_complete,
                "seconds": round(wall, 2),
                "processor_seconds": round(processor, 2),
                "megabytes": round((after - before) / 1024, 1),
                "spec_kilobytes": round(len(json.dumps(recording.json())) / 1000, 1),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
