"""What an expression is worth outside of the samples that it was solved from.

Some say more about the samples than about the library: `i in [0, 4, 5]`, a size that is one thing
for three stages and another for four. Where the law is known it is written here, with its place in
the library; else the field is held to the value that it was seen to hold for, or a list to its
length, and the class refuses the rest by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.catalogue import reading

LAWS: Mapping[str, Mapping[str, str]] = {
    # transformers.models.swin.modeling_swin.SwinModel.num_features, and those made like it
    "swin": {r".*len\(depths\) == 5.*": "embed_dim * 2**(len(depths) - 1)"},
    "swinv2": {r"len\(depths\) \* embed_dim if .*": "embed_dim * 2**(len(depths) - 1)"},
    "maskformer-swin": {r"4 \* embed_dim if len.*": "embed_dim * 2**(len(depths) - 1)"},
    # transformers.models.llama4.modeling_llama4.Llama4TextDecoderLayer.is_moe_layer
    "llama4_text": {
        r"i in \[0, 4, 5\]": "i not in moe_layers",
        r"i in \[1, 2, 3\]": "i in moe_layers",
    },
    "llama4": {
        r"i in \[0, 4, 5\]": "i not in text_config.moe_layers",
        r"i in \[1, 2, 3\]": "i in text_config.moe_layers",
    },
    # transformers.models.clap.modeling_clap.ClapAudioPatchEmbed
    "clap": {
        r".*patch_embed_input_channels == 2.*": "4 * audio_config.patch_embed_input_channels"
        " if audio_config.enable_fusion and audio_config.fusion_type == 'channel_map'"
        " else audio_config.patch_embed_input_channels"
    },
    # stages after the first begin with a convolution of their own
    "convnext": {r"i in \[1, 2, 3, 4, 5, 6\]": "i > 0"},
    "convnextv2": {r"i in \[1, 2, 3, 4, 5\]": "i > 0"},
}

_STEPS = {
    "count": "{p}num_hidden_layers // {p}interleave_moe_layer_step",
    "value": "(i + 1) * {p}interleave_moe_layer_step - 1",
}
DERIVED: Mapping[str, Mapping[str, Any]] = {
    # of Llama4TextConfig: every so many layers, the last of them
    "llama4_text": {"field": "moe_layers", "prefix": ""},
    "llama4": {"field": "text_config.moe_layers", "prefix": "text_config."},
}

_INTERVALS: Mapping[str, str] = {
    # of Qwen3NextConfig and those made like it: read from kwargs where there is no list
    "qwen3_next": "",
    "qwen3_5": "text_config.",
    "qwen3_5_text": "",
    "qwen3_5_moe": "text_config.",
    "qwen3_5_moe_text": "",
}

FOLLOWS: Mapping[str, Mapping[str, str]] = {
    kind: {
        f"{prefix}layer_types": f"'full_attention' if (i + 1) % {prefix}full_attention_interval == 0"
        " else 'linear_attention'"
    }
    for kind, prefix in _INTERVALS.items()
} | {
    # `__post_init__` of the config class: what was one value in all samples
    "glm_moe_dsa": {
        "indexer_types": "'full' if max(i - index_skip_topk_offset + 1, 0) % max(index_topk_freq, 1)"
        " == 0 else 'shared'"
    },
    "pix2struct": {"pad_token_id": "text_config.pad_token_id"},
    "reformer": {"num_hidden_layers": "len(attn_layers)"},
    "t5gemma2": {
        name: f"decoder.{name}" for name in ("bos_token_id", "pad_token_id", "vocab_size")
    },
    "voxtral_realtime": {"hidden_size": "text_config.hidden_size"},
}

MOVES_NOTHING: Mapping[str, tuple[str, ...]] = {
    # Fields that the library's code looks at, and that `inert` saw move no tensor and no init.
    "clap": ("text_config.initializer_range", "audio_config.initializer_range"),
    "minimax_m2": ("rotary_dim",),
    "nemotron_h": ("num_hidden_layers", "mtp_hybrid_override_pattern"),
}

LETTERS: Mapping[str, Mapping[str, Any]] = {
    # transformers.models.nemotron_h.configuration_nemotron_h.NemotronHConfig._pattern_to_list
    "nemotron_h": {
        "hybrid_override_pattern": {
            "field": "layers_block_type",
            "letters": {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"},
        }
    },
}

RESPELT: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    # transformers.configuration_utils.remap_legacy_layer_types
    "nemotron_h": {
        field: {"mamba": "linear_attention", "attention": "full_attention"}
        for field in ("layers_block_type", "mtp_layers_block_type")
    },
}

LOOPS: Mapping[str, Mapping[str, str]] = {
    "nemotron_h": {"backbone.layers.": "len(layers_block_type)"},
}

ALIASES: Mapping[str, Mapping[str, str]] = {
    # its `__post_init__`: where both are given they have to agree here
    "glm_moe_dsa": {"num_experts": "n_routed_experts"},
}

PRESENT: Mapping[str, Mapping[str, str]] = {
    # transformers.models.glm_moe_dsa.modeling_glm_moe_dsa.GlmMoeDsaAttention.__init__
    "glm_moe_dsa": {r".*\.indexer\..*": "indexer_types[i] == 'full'"},
}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    kind: {f"{prefix}full_attention_interval": 4} for kind, prefix in _INTERVALS.items()
} | {
    # read from kwargs, and so in no list of fields
    "glm_moe_dsa": {"index_topk_freq": 1, "index_skip_topk_offset": 2},
}

UNUSED: Mapping[str, tuple[str, ...]] = {
    # worked out for the forward pass alone
    "kyutai_speech_to_text": ("frame_size",),
}

KINDS: Mapping[str, Mapping[str, str]] = {
    kind: {f"{prefix}full_attention_interval": "i"} for kind, prefix in _INTERVALS.items()
} | {
    # 0 is what -1 comes to where there is one layer
    "ernie4_5_moe": {"moe_layer_end_index": "-inz"},
    "glm_moe_dsa": {"index_topk_freq": "iz", "index_skip_topk_offset": "iz"},
}

WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # a kind of layer that has the same weights
    kind: {"layer_types": ("full_attention", "sliding_attention")}
    for kind in ("qwen2", "qwen2_moe", "qwen3")
} | {
    "glm_moe_dsa": {
        "indexer_types": ("full", "shared"),
        "layer_types": ("indexed_attention", "deepseek_sparse_attention"),
    }
}

CLIP_VISION = {
    # transformers.models.clip.modeling_clip.CLIPPreTrainedModel._init_weights
    r"sqrt\(1 / 24\) \* initializer_factor": "initializer_factor / sqrt(hidden_size)",
    r"sqrt\(1 / 48\) \* initializer_factor": "initializer_factor / sqrt(2 * hidden_size)",
    r"initializer_factor / sqrt\(3 \* \(16 \* num_hidden_layers\)\)": "initializer_factor"
    " / sqrt(2 * hidden_size * num_hidden_layers)",
}

SPREADS: Mapping[str, Mapping[str, str]] = {
    # numbers of the samples, in place of the sizes that they were
    "clip_vision_model": CLIP_VISION,
    "chinese_clip_vision_model": CLIP_VISION,
}

ROUNDED = {
    # quotients that came out even in the samples: √(3 / fan_in), √(6 / (fan_in + fan_out))
    r"1 / sqrt\(([\w.]+) // 3\)": r"sqrt(3) / sqrt(\1)",
    r"sqrt\(2\) / sqrt\(ceil\(([\w.]+), 32\)\)": r"sqrt(3) / sqrt(2 * \1)",
    r"sqrt\(3\) / sqrt\((\([\w.]+ \+ [\w.]+\)) // 2\)": r"sqrt(6) / sqrt\1",
}

INITS: Mapping[str, Mapping[str, str | None]] = {
    # A spread that was one sample's `initializer_range`: that of a matrix of the same kind beside
    # it. None where it depends on more than was varied: then the init is a guess, and said to be.
    "blip": {r".*\.crossattention\.self\..*weight": ".crossattention.self.>.attention.self."},
    "bert-generation": {r".*\.crossattention\..*weight": ".crossattention.>.attention."},
    "wav2vec2": {r".*adapter_layer\.linear_.\.weight": "adapter_layer.linear_*>attention.k_proj"},
    "xlnet": {r"lm_loss\.weight": None},
    "data2vec-audio": {r"adapter\.proj\.weight": None},
    "eomt": {r"upscale_block\.block\.\*\.conv2\.weight": None},
    "videomt": {r"upscale_block\.block\.\*\.conv2\.weight": None},
    "wav2vec2-bert": {r".*pos_bias_[uv]": None},
}

_LENGTH = re.compile(r"\blen\(([\w.]+)\) (?:[=!]=|[<>]=?) \d")
_NUMBER = re.compile(r"\b([a-z_][\w.]{3,}) (?:[=!]=|[<>]=?) (?:[2-9]|\d\d+)\b")
_PLACE = re.compile(r"\b([ijkl]) (?:in \[|(?:[=!]=|[<>]=?) (?:[2-9]|\d\d+)\b)")
_CURVE = re.compile(r"\b\d{2,} \* ([a-z_][\w.]{3,}) \* \1|\b\d{4,} \+|- \d{2,} \* ")
_FIELD = re.compile(r"[a-z_][\w.]{3,}")


def bound(kind: str, data: dict[str, Any]) -> list[str]:
    """Put laws in place of such expressions, and bounds on the fields of the others; says which."""
    notes: list[str] = []
    laws = {re.compile(form): text for form, text in LAWS.get(kind, {}).items()}
    for one in data["classes"].values():
        for tensor in one["tensors"]:
            tensor[1] = _lawful(tensor[1], laws)
            tensor[2] = [_lawful(text, laws) for text in tensor[2]]
        if kind in DERIVED:
            _derive(DERIVED[kind], one)
        for rule in one["derived"]:
            if rule["field"] in FOLLOWS.get(kind, {}):
                rule["value"] = FOLLOWS[kind][rule["field"]]
        one["derived"] = [r for r in one["derived"] if r["field"] not in UNUSED.get(kind, ())]
        _know(kind, one, data)
        _spread(kind, one)
        one["kinds"] |= KINDS.get(kind, {})
        one["choices"] |= {field: list(words) for field, words in WORDS.get(kind, {}).items()}
        _start(INITS.get(kind, {}), one)
        for field, why in sorted(set(_suspects(one))):
            notes += _pin(field, why, one, data)
    return notes


def _spread(kind: str, one: dict[str, Any]) -> None:
    """Put laws in place of the numbers of samples in the parameters of inits."""
    for case in (case for cases in one["inits"] for case in cases):
        for name, text in case.get("with", {}).items():
            if isinstance(text, str) and text[:1] == "=":
                for form, law in {**SPREADS.get(kind, {}), **ROUNDED}.items():
                    text = re.sub(form, law, text)
                case["with"][name] = text


def _know(kind: str, one: dict[str, Any], data: dict[str, Any]) -> None:
    """Take fields and words that are read as `LETTERS`, `RESPELT` and the like say."""
    for path, value in DEFAULTS.get(kind, {}).items():
        data["defaults"] = reading.having(data["defaults"], tuple(path.split(".")), value)
    data["respelt"] = {**data.get("respelt", {}), **RESPELT.get(kind, {})}
    data["letters"] = {**data.get("letters", {}), **LETTERS.get(kind, {})}
    for part in ("respelt", "letters"):
        if not data[part]:
            del data[part]
    free = MOVES_NOTHING.get(kind, ())
    if free:
        data["written"] = sorted({*data.get("written", ()), *free})
    if kind in ALIASES:
        data["aliases"][""] = {**data["aliases"].get("", {}), **ALIASES[kind]}
    for path in (*free, *ALIASES.get(kind, ()), *LETTERS.get(kind, ()), *DEFAULTS.get(kind, ())):
        prefix, _, name = path.rpartition(".")
        heard = one["heard"].get(f"{prefix}." if prefix else "", [])
        heard[:] = [word for word in heard if word.rstrip("?") != name]
    for loop, stop in LOOPS.get(kind, {}).items():
        one["loops"][loop][1] = stop
    for form, when in PRESENT.get(kind, {}).items():
        for tensor in one["tensors"]:
            if re.fullmatch(form, tensor[0]):
                tensor[1] = when


def _start(facts: Mapping[str, str | None], one: dict[str, Any]) -> None:
    """Give patterns the init of another, or none."""
    by_name = {tensor[0]: tensor[4] for tensor in one["tensors"]}
    for form, law in facts.items():
        for tensor in one["tensors"]:
            if not re.fullmatch(form, tensor[0]):
                continue
            if law is None:
                tensor[4] = one["inits"].index([])
                continue
            old, new = law.split(">")
            name = re.sub(re.escape(old).replace(r"\*", r"[^.]"), new, tensor[0])
            tensor[4] = by_name[name]


def _lawful(text: str, laws: Mapping[re.Pattern[str], str]) -> str:
    return next((law for form, law in laws.items() if form.fullmatch(text)), text)


def _derive(fact: Mapping[str, Any], one: dict[str, Any]) -> None:
    field, prefix = fact["field"], fact["prefix"]
    if all(rule["field"] != field for rule in one["derived"]):
        texts = {key: text.format(p=prefix) for key, text in _STEPS.items()}
        one["derived"].append({"field": field, "mode": "absent", **texts})
    one["fixed"].pop(field, None)
    one["kinds"][field] = "ln"


def _suspects(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields, each with `value` or `length`."""
    stops = one["loops"]
    for name, when, shape, _, _ in one["tensors"]:
        loops = ["*".join(name.split("*")[: d + 1]) for d in range(name.count("*"))]
        for text in (when, *shape):
            plain = re.sub(r"'[^']*'", "", text)
            for match in _LENGTH.finditer(plain):
                yield match[1], "length"
            for match in _NUMBER.finditer(plain):
                yield match[1], "value"
            if _CURVE.search(plain):
                for word in _FIELD.findall(plain):
                    yield word, "value"
            for match in _PLACE.finditer(plain):
                depth = "ijkl".index(match[1])
                if depth < len(loops):
                    stop = stops[loops[depth]][1]
                    found = re.findall(r"len\(([\w.]+)\)", stop)
                    yield from ((field, "length") for field in found)
                    if not found:
                        yield from ((word, "value") for word in _FIELD.findall(stop))
    for _, stop in stops.values():
        for match in _LENGTH.finditer(stop):
            yield match[1], "length"


def _pin(field: str, why: str, one: dict[str, Any], data: Mapping[str, Any]) -> list[str]:
    at = tuple(field.split("."))
    try:
        default = reading.level(data["defaults"], at)
    except (KeyError, TypeError):
        return []
    if why == "length":
        if isinstance(default, list):
            one.setdefault("lengths", {})[field] = len(default)
            return [f"{field}: {len(default)} items"]
        return []
    if isinstance(default, bool | str | list | Mapping) or default is None:
        return []
    one["fixed"][field] = default
    one["kinds"].pop(field, None)
    one["choices"].pop(field, None)
    return [f"{field} = {default}"]
