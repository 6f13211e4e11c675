"""Names that the library's code looks at in a config, by model type: any other it ignores.

    python -m scripts.catalogue.heard

Writes `heard.json.gz` beside the families that are written by hand. What a type's modules, and the
library's own that all models share, say of a config is read off their source, generously: a name
that stands there at all counts. Needs the interop environment.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

from scripts.catalogue import oracle, reading
from scripts.catalogue.keeping import packed
from seedbed.models.transformers import FAMILIES

OUTPUT = Path(__file__).parents[2] / "app/seedbed/models/transformers/heard.json.gz"

SHARED = ("configuration_utils", "modeling_utils", "modeling_layers", "pytorch_utils")
"""Modules of the library that look at configs of every type."""

_READ = re.compile(
    r"config\.([a-z]\w*)|(?:get|has)attr\(\s*[\w.()]*config[\w.()]*,\s*[\"'](\w+)"
    r"|config\[\s*[\"'](\w+)|kwargs\.(?:pop|get)\(\s*[\"'](\w+)"
)


def read(module: ModuleType) -> set[str]:
    """What the source of a module looks at in a config."""
    source = inspect.getsource(module)
    return {name for match in _READ.findall(source) for name in match if name}


def heard(kind: str) -> list[str]:
    """All names that matter to a model type, in the order of letters."""
    found: set[str] = set()
    for name in SHARED:
        found |= read(importlib.import_module(f"transformers.{name}"))
    for _, cls in reading.config_classes(oracle.CONFIG_MAPPING[kind]):
        found |= reading.words(cls) | set(cls.attribute_map)  # type: ignore[attr-defined]
        own = inspect.getmodule(cls)
        assert own is not None
        found |= read(own)
        name = own.__name__.replace(".configuration_", ".modeling_")
        modules = [importlib.import_module(name)]
        modules += [
            importlib.import_module(other)
            for other in sorted(
                {getattr(v, "__module__", "") or "" for v in vars(modules[0]).values()}
            )
            if other.startswith("transformers.models.") and other != name
        ]
        for module in modules:
            found |= read(module)
    return sorted(name for name in found if not name.startswith("_"))


def main() -> None:
    """Write the names of every type that has a family."""
    OUTPUT.write_bytes(packed({kind: heard(kind) for kind in sorted(FAMILIES)}))


if __name__ == "__main__":
    main()
