from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.models.transformers import FAMILIES, of_config
from seedbed.models.transformers.tiny import TINY
from tests.interop.transformers_cases import SAMPLES

pytestmark = pytest.mark.interop

SIDE = Path(__file__).parent / "transformers_side.py"

OLD = Path(sys.prefix) / "old-clients"
"""Where `make` puts the last transformers of the line before 5."""

HANG_SECONDS = 900

DRAWN = 3
"""Random configs of each class."""

CLASSES = [(kind, name) for kind, family in FAMILIES.items() for name in family.classes()]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every tiny preset as a directory that the library can read."""
    root = tmp_path_factory.mktemp("tiny")
    found = []
    for preset in TINY:
        spec = CheckpointSpec.model_validate({"model": {"preset": preset.name}, "seed": 3})
        directory = root / preset.name
        directory.mkdir()
        for file in Checkpoint(spec).files():
            (directory / file.name).write_bytes(bytes(file.read(0, file.size)))
        found.append(directory)
    return found


def ask(directories: list[Path], packages: Path | None) -> dict[str, Any]:
    """What a version of the library says of directories, in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    done = subprocess.run(
        [sys.executable, SIDE, *directories],
        capture_output=True,
        text=True,
        env=environment,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("packages", "major"), [(None, "5."), (OLD, "4.57.")], ids=["5", "4"])
def test_tiny_presets_load_and_run(
    directories: list[Path], packages: Path | None, major: str
) -> None:
    """`from_pretrained` of either line finds exactly its tensors, and outputs are finite.

    The tokenizer gives back any text, and what generates does.
    """
    said = ask(directories, packages)
    assert said["version"].startswith(major)
    assert len(said["answers"]) == len(FAMILIES)
    for name, answer in said["answers"].items():
        assert answer["complaints"] == {}, name
        assert answer["finite"], name
        assert answer["outputs"], name
        assert answer["warnings"] == [], name
        assert answer["generated"] in (None, [1, 6]), name
        if "text" in answer:
            assert answer["text"] == said["text"], name
            assert answer["count"] == 264, name
            has_types = "token_type_ids" in answer["takes"]
            assert has_types == (
                name in ("tiny-bert", "tiny-electra", "tiny-albert", "tiny-deberta-v2")
            ), name


def test_a_pipeline_generates_text(directories: list[Path]) -> None:
    """The whole road of a user: a pipeline over a directory answers with text that it began."""
    from transformers import pipeline

    (gpt2,) = (str(one) for one in directories if one.name == "tiny-gpt2")
    options = {"max_new_tokens": 4, "do_sample": False}
    (answer,) = pipeline("text-generation", model=gpt2)("Once", **options)
    assert answer["generated_text"].startswith("Once")


def saved(name: str, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, to: Path) -> Any:
    """Names, shapes and dtypes that the library would save, in its order, and its config.json."""
    import torch
    import transformers
    from transformers import modeling_utils

    made: dict[str, Any] = {}

    def keep(tensors: dict[str, Any], _path: object, **_options: object) -> None:
        made.update(tensors)

    monkeypatch.setattr(modeling_utils, "safe_save_file", keep)
    cls = getattr(transformers, name)
    with torch.device("meta"), torch.no_grad():
        model = cls(cls.config_class(**config))
        model.save_pretrained(to, max_shard_size="100000GB")
    codes = {torch.float32: "F32", torch.int64: "I64"}
    tensors = [(key, list(one.shape), codes[one.dtype]) for key, one in made.items()]
    return tensors, json.loads((to / "config.json").read_text())


def drawn(kind: str, name: str) -> Iterator[dict[str, Any]]:
    """Random configs of a class, the same in every run."""
    draw = Random(f"{kind} {name}")
    return (SAMPLES[kind](draw) for _ in range(DRAWN))


@pytest.mark.parametrize(("kind", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_random_configs_are_what_the_library_saves(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names, shapes, dtypes and order agree for configs that nobody looked at before."""
    for config in drawn(kind, name):
        tensors, real = saved(name, json.loads(json.dumps(config)), monkeypatch, tmp_path)
        ours = of_config({"model_type": kind, "architectures": [name], **config})
        found = [(one.name, list(one.shape), one.dtype or "F32") for one in ours.parameters]
        assert found == tensors, config
        assert of_config(real).digest == ours.digest, config


@pytest.mark.parametrize("kind", FAMILIES)
def test_defaults_are_the_librarys(kind: str) -> None:
    """A bare model type means what it means there, and every field of the class is known here."""
    from transformers import AutoConfig

    real = AutoConfig.for_model(kind).to_dict()
    real["architectures"] = None
    assert of_config(real).digest == of_config({"model_type": kind}).digest
    family = FAMILIES[kind]
    for field, info in family.model_fields.items():
        theirs = real.get(field)
        if field in real and not field.endswith("_config") and info.default is not None:
            assert theirs == pytest.approx(info.default) or info.default == "auto", field
