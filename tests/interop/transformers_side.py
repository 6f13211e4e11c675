"""What transformers makes of directories, in a process of its own: any version of the library.

    python transformers_side.py DIRECTORY... > answers.json

For each the answer is what loading complained of, whether all weights and outputs are finite, and
a text that was encoded and decoded again.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

TEXT = "Hällo, wörld €!\n\tbyte 7"


def forward(model: Any, kind: str, size: int) -> Any:
    """The outputs of a model of some type for a small input."""
    tokens = torch.tensor([[9, 50, 70, 100]])
    pixels = torch.ones(1, 3, size, size)
    if kind in ("t5", "mt5", "bart"):
        return model(input_ids=tokens, decoder_input_ids=tokens).logits
    if kind == "whisper":
        return model(input_features=torch.ones(1, 16, 128), decoder_input_ids=tokens).logits
    if kind in ("vit", "deit", "dinov2"):
        return model(pixel_values=pixels).logits
    if kind in ("clip", "siglip"):
        return model(input_ids=tokens, pixel_values=pixels).logits_per_text
    return model(input_ids=tokens).logits


def answer(directory: Path) -> dict[str, Any]:
    """What is to be said of one directory."""
    said = json.loads((directory / "config.json").read_text())
    (name,) = said["architectures"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = getattr(transformers, name).from_pretrained(
            directory, output_loading_info=True
        )
    model.eval()
    with torch.no_grad():
        outputs = forward(model, said["model_type"], 32)
        generated = None
        if name.endswith(("ForCausalLM", "LMHeadModel")):
            prompt = torch.tensor([[9, 50, 70]])
            mask = torch.ones_like(prompt)
            options = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False}
            generated = list(model.generate(prompt, attention_mask=mask, **options).shape)
    found: dict[str, Any] = {
        "complaints": {key: sorted(map(str, value)) for key, value in info.items() if value},
        "warnings": [str(one.message) for one in caught if one.category is UserWarning],
        "finite": all(bool(torch.isfinite(one).all()) for one in model.state_dict().values()),
        "outputs": bool(torch.isfinite(outputs).all()),
        "generated": generated,
        "sum": float(sum(one.double().abs().sum() for one in model.parameters())),
    }
    if (directory / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(directory)
        tokens = tokenizer(TEXT)
        found["text"] = tokenizer.decode(tokens["input_ids"], skip_special_tokens=True)
        found["takes"] = sorted(tokens)
        found["count"] = len(tokenizer)
    return found


if __name__ == "__main__":
    answers = {Path(one).name: answer(Path(one)) for one in sys.argv[1:]}
    json.dump({"version": transformers.__version__, "text": TEXT, "answers": answers}, sys.stdout)
