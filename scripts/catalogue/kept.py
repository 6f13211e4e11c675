"""Which tensors a class keeps in F32 where the others are of a narrower dtype.

    .venv-interop/bin/python -m scripts.catalogue.kept LOG [CLASS …]

Classes that are named are done, and what is known of the others stays. Writes `kept.json.gz` beside `models/kept.py`: class → names with `*` for numbers.

A tensor is kept in F32 if its class gives it that dtype whatever the default is, or if
`from_pretrained` always loads it so (`_keep_in_fp32_modules_strict`). Each class is recorded once,
with the defaults of its config. What is in the log is not done again.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.core_model_loading import build_glob_alternation

from scripts.resumable import logged
from seedbed.models.catalogue import types
from seedbed.models.transformers import FAMILIES
from seedbed.torch import record

TARGET = Path("app/seedbed/models/kept.json.gz")


def classes() -> Iterator[tuple[str, str]]:
    """Model type and class of all that are known."""
    known = {(kind, name) for kind, entries in types().items() for name in entries}
    known |= {(kind, name) for kind, family in FAMILIES.items() for name in family.classes()}
    return iter(sorted(known))


def kept(model_type: str, name: str) -> list[str]:
    """The patterns of one class.

    Raises:
        ValueError: of the tensors of one pattern some are kept and others are not.
    """

    def build() -> Any:
        config = transformers.CONFIG_MAPPING[model_type]()
        return getattr(transformers, name)._from_config(config, dtype=torch.bfloat16)

    with torch.device("meta"):  # quick, and enough to know whether there are any
        model = build()
    plan = list(model._get_dtype_plan(torch.bfloat16))
    if not plan and torch.float32 not in {tensor.dtype for tensor in model.state_dict().values()}:
        return []
    search = build_glob_alternation(plan)[0].search if plan else lambda _: None
    whole: dict[str, set[bool]] = {}
    for tensor in record(build, looks=True).tensors:
        if tensor.dtype in {"BF16", "F32"}:
            stays = tensor.dtype == "F32" or any(
                search(region.parameter) for region in tensor.regions or ()
            )
            whole.setdefault(re.sub(r"\d+", "*", tensor.name), set()).add(bool(stays))
    if mixed := [pattern for pattern, answers in whole.items() if len(answers) > 1]:
        raise ValueError(f"some are kept: {mixed}")
    return sorted(pattern for pattern, answers in whole.items() if True in answers)


def main() -> None:
    """Record all classes, and say which could not be."""
    log = Path(sys.argv[1])
    asked = set(sys.argv[2:])
    data = dict(json.loads(gzip.decompress(TARGET.read_bytes()))) if asked else {}
    data.update(logged(log) if log.exists() else {})
    with log.open("a") as lines:
        for model_type, name in classes():
            if name not in asked if asked else name in data:
                continue
            try:
                data[name] = kept(model_type, name)
            except Exception as error:  # of a library's code
                print(f"{name}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
            else:
                print(json.dumps([name, data[name]]), file=lines, flush=True)
    some = {name: patterns for name, patterns in data.items() if patterns}
    text = json.dumps(some, sort_keys=True, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
