"""Methods by name, and short names for what is asked for most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from seedbed.errors import Choices, SpecError
from seedbed.init import Limits, TensorPlan
from seedbed.quantization.awq import Awq
from seedbed.quantization.base import Method
from seedbed.quantization.bnb import BitsAndBytes
from seedbed.quantization.compressed import CompressedTensors
from seedbed.quantization.fbgemm import FbgemmFP8
from seedbed.quantization.fp8 import FineGrainedFP8
from seedbed.quantization.gptq import Gptq
from seedbed.quantization.modelopt import ModelOpt
from seedbed.quantization.modules import is_conv1d
from seedbed.quantization.mxfp4 import Mxfp4

Json = Mapping[str, Any]

VERSION = 1
"""Of what methods make of a config: it takes part in the names of files."""

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        FineGrainedFP8,
        CompressedTensors,
        ModelOpt,
        Mxfp4,
        Gptq,
        Awq,
        BitsAndBytes,
        FbgemmFP8,
    )
}
"""By `quant_method`. A new one is a class in a module of its own, and its name here."""


def _compressed(form: str, weights: Json, inputs: Json | None = None) -> Json:
    group: dict[str, Any] = {"targets": ["Linear"], "weights": weights}
    if inputs is not None:
        group["input_activations"] = inputs
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


def _whole(bits: int, **more: Any) -> Json:
    return {"num_bits": bits, "type": "int", "symmetric": True, **more}


def _float(bits: int, **more: Any) -> Json:
    return {"num_bits": bits, "type": "float", "symmetric": True, **more}


_BY_TOKEN = {"strategy": "token", "dynamic": True}

SHORT: Mapping[str, Json] = {
    "fp8-block": {
        "quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
        "weight_block_size": [128, 128],
    },
    "fp8-dynamic": _compressed(
        "float-quantized", _float(8, strategy="channel"), _float(8, **_BY_TOKEN)
    ),
    "fp8-static": _compressed(
        "float-quantized", _float(8, strategy="tensor"), _float(8, strategy="tensor")
    ),
    "w8a8": _compressed("int-quantized", _whole(8, strategy="channel"), _whole(8, **_BY_TOKEN)),
    "w4a16": _compressed("pack-quantized", _whole(4, strategy="group", group_size=128)),
    "w8a16": _compressed("pack-quantized", _whole(8, strategy="channel")),
    "nvfp4": _compressed(
        "nvfp4-pack-quantized",
        _float(4, strategy="tensor_group", group_size=16),
        _float(4, strategy="tensor_group", group_size=16, dynamic="local"),
    ),
    "modelopt-fp8": {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]},
    "modelopt-nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
    "mxfp4": {"quant_method": "mxfp4"},
    "gptq-4bit": {
        "quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False,
        "checkpoint_format": "gptq",
    },
    "gptq-8bit": {
        "quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True, "desc_act": False,
        "checkpoint_format": "gptq",
    },
    "awq-4bit": {
        "quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm",
    },
    "bnb-8bit": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "bnb-nf4": {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
    },
    "fbgemm-fp8": {"quant_method": "fbgemm_fp8"},
}  # fmt: skip
"""Configs by a word, as revisions and query strings have them."""


def method_of(config: Json) -> Method:
    """The method that a `quantization_config` means.

    Raises:
        SpecError: there is no such method, or it takes no such field or value, and where.
    """
    said = config.get("quant_method")
    if said is None and "quant_algo" in config:
        said = ModelOpt.name
    if said is None and (config.get("load_in_4bit") or config.get("load_in_8bit")):
        said = BitsAndBytes.name
    if not isinstance(said, str) or said not in METHODS:
        raise SpecError(
            f"the quant_method {str(said)[:60]!r} is not taken",
            ("quant_method",),
            Choices(METHODS, said if isinstance(said, str) else ""),
        )
    method = METHODS[said]
    fields: dict[str, Any] = {}
    for key, value in config.items():
        name = key[1:] if key[:1] == "_" and key[1:] in method.model_fields else key
        if key in method.inert or (value is None and name not in method.model_fields):
            continue
        if name in fields and fields[name] != value:
            raise SpecError(f"{key} and {name} are one field, with two values", (key,))
        fields[name] = value
    try:
        return method.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        word = str(first["loc"][-1]) if first["loc"] else ""
        known = [*method.model_fields, *method.inert]
        allowed = Choices(known, word) if first["type"] == "extra_forbidden" else ()
        raise SpecError(f"{said}: {first['msg']}", first["loc"], allowed) from error


def quantise(
    plans: Sequence[TensorPlan], method: Method, limits: Limits, model_type: object = None
) -> tuple[TensorPlan, ...]:
    """The tensors of a quantised checkpoint, in the order of the unquantised ones.

    Args:
        plans: of the unquantised checkpoint.
        method: how weights are stored.
        limits: upper bounds.
        model_type: of the model, if it has one: some have modules that look linear and are not.

    Raises:
        SpecError: a weight cannot be stored so, nothing is quantised, or two tensors have one name.
        LimitError: there are too many tensors.
    """
    stored: list[TensorPlan] = []
    changed = 0
    for plan, weight in method.weights(plans):
        if weight is None or is_conv1d(model_type, weight.module):
            stored.append(plan)
        else:
            changed += 1
            stored.extend(method.stored(weight))
        stored.extend(method.beside(plan))
        limits.require("max_tensors", len(stored), "tensors, with those of quantisation,")
    if not changed:
        raise SpecError(
            f"{method.name} quantises no tensor of this checkpoint: none is the weight of a module "
            "that it takes",
            ("quantization",),
        )
    seen: set[str] = set()
    for plan in stored:
        if plan.name in seen:
            raise SpecError(f"two tensors are called {plan.name!r}", ("quantization",))
        seen.add(plan.name)
    return tuple(stored)
