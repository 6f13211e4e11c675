"""Configs as the library saves them: nothing that its own classes write is an unknown field.

`saved.json.gz` has, by class, configs as given and as `save_pretrained` wrote them
(`scripts.catalogue.saving`): by `type.` what the defaults become, by class what differs from that.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import SpecError
from seedbed.models.catalogue import types
from seedbed.models.catalogue.settling import Settled, at
from seedbed.models.catalogue.store import load

SAVED = json.loads(gzip.decompress((Path(__file__).parent / "saved.json.gz").read_bytes()))
EXACT = sorted(
    (kind, name)
    for kind, classes in types().items()
    for name, state in classes.items()
    if state["status"] == "exact" and name in SAVED
)


def test_every_class_takes_configs_as_the_library_saves_them() -> None:
    """Fields that the config's own class writes are known, and read as they were meant."""
    assert len(EXACT) > 400
    wrong = []
    for kind, name in EXACT:
        settled = Settled(load(kind), name)
        for form in SAVED[name]:
            try:
                one = settled.settle({**form["given"], "model_type": kind})
                two = settled.settle({**SAVED[f"{kind}."], **form["saved"], "model_type": kind})
            except SpecError as error:
                wrong.append(f"{kind} {name} {form['given']}: {error.path}: {error.message}")
                continue
            fields = {rule["field"] for rule in load(kind)["classes"][name]["derived"]}
            wrong += [
                f"{kind} {name} {form['given']}: {field}"
                for field in fields
                if at(one, field) != at(two, field)
            ]
    assert wrong == []


@pytest.mark.parametrize(
    ("kind", "name", "config", "field"),
    [
        ("swinv2", "Swinv2Model", {"depths": [2, 2], "num_heads": [2, 4]}, "num_layers"),
        ("reformer", "ReformerForMaskedLM", {"attn_layers": ["lsh", "local"]}, "num_hidden_layers"),
    ],
)
def test_what_a_config_works_out_cannot_be_set_otherwise(
    kind: str, name: str, config: dict[str, Any], field: str
) -> None:
    """A number of layers that a list says is that, and another is an error."""
    settled = Settled(load(kind), name)
    assert settled.settle({**config, field: 2})[field] == settled.settle(config)[field] == 2
    with pytest.raises(SpecError, match="does not follow") as refused:
        settled.settle({**config, field: 3})
    assert refused.value.path == (field,)
