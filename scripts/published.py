"""Make the data of published ids: the configs that the Hub façade answers for by their own names.

    python -m scripts.published FOLDER

The folder has config.json files as people publish them, one gzipped JSON each, with `config`,
`source` (repository, path and commit) and `tensors` (name → [dtype, shape], as the library saves
them). Only those are taken of which the catalogue makes exactly these tensors. A config says the
shapes of a network, which are facts; nothing else of a repository is in the data.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

from seedbed.errors import SeedbedError
from seedbed.files import Checkpoint, CheckpointSpec

TARGET = Path(__file__).parent.parent / "app/seedbed/hub/published.json.gz"

IDS = {
    "bart-large-cnn": "facebook/bart-large-cnn",
    "blip-image-captioning-base": "Salesforce/blip-image-captioning-base",
    "codet5-base": "Salesforce/codet5-base",
    "deepseek-v2-lite": "deepseek-ai/DeepSeek-V2-Lite",
    "distilroberta-base": "distilbert/distilroberta-base",
    "layoutlmv3-base": "microsoft/layoutlmv3-base",
    "Mistral-7B-Instruct-v0.2": "mistralai/Mistral-7B-Instruct-v0.2",
    "mistral-nemo-instruct-2407": "mistralai/Mistral-Nemo-Instruct-2407",
    "mosaicml_mpt-7b": "mosaicml/mpt-7b",
    "phi-2": "microsoft/phi-2",
}
"""Ids of files that are not named by theirs, `organisation--name`."""

_LEFT_OUT = re.compile("_name_or_path|auto_map|custom_pipelines|transformers_version")


def main(folder: Path) -> None:
    """Write the data, and say what was left out."""
    entries: dict[str, Any] = {}
    for path in sorted(folder.glob("*__*.json.gz")):
        name = path.name.removesuffix(".json.gz").partition("__")[2]
        id_ = IDS.get(name) or (name.replace("--", "/") if name.count("--") == 1 else None)
        if id_ is None:
            continue
        data = json.loads(gzip.decompress(path.read_bytes()))
        config = {k: v for k, v in data["config"].items() if not _LEFT_OUT.fullmatch(k)}
        try:
            wrong = _tensors(config) != data["tensors"]
            Checkpoint(CheckpointSpec.model_validate({"model": {"config": config}}))
        except SeedbedError as error:
            print(f"{id_}: left out: {error}")
            continue
        if wrong:
            print(f"{id_}: left out: other tensors than the library's")
            continue
        entries[id_] = {"model": {"config": config}, "source": data["source"]}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(entries)} ids, {TARGET.stat().st_size:,} bytes: {', '.join(entries)}")


def _tensors(config: dict[str, Any]) -> dict[str, Any]:
    """Dtype and shape by name, of the model without its quantisation."""
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    spec = CheckpointSpec.model_validate({"model": {"config": plain}})
    return {t.name: [t.dtype.code, list(t.shape)] for t in Checkpoint(spec).tensors}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
