"""Known sizes by name. Each group says where its numbers were verified; others are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seedbed.models.transformers import (
    bart,
    bert,
    clip,
    fused,
    gpt2,
    gpt_neox,
    llama,
    mamba,
    moe,
    opt,
    phi,
    t5,
    vit,
)
from seedbed.models.transformers.family import VERSION, ConfigPreset, Family

Fields = Mapping[str, Any]

LIBRARY = f"defaults of the class in transformers {VERSION}"
LITGPT = "litgpt/config.py of Lightning-AI/litgpt, which cites the config.json of each"


def group(
    family: type[Family], source: str, shared: Fields, sizes: Mapping[str, tuple[str, Fields]]
) -> Iterator[ConfigPreset]:
    """Presets of one family.

    Args:
        family: of all of them.
        source: of the numbers.
        shared: fields of all of them.
        sizes: by name, a summary and the fields in which each differs.
    """
    for name, (summary, own) in sizes.items():
        yield ConfigPreset(name, summary, family, {**shared, **own}, source)


def decoder(
    layers: int, width: int, heads: int, groups: int, inner: int, **others: Any
) -> dict[str, Any]:
    """The numbers that tell decoders like LLaMA apart."""
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "intermediate_size": inner,
        **others,
    }


def _gpt2() -> Iterator[ConfigPreset]:
    yield from group(
        gpt2.GPT2,
        f"{LIBRARY}; larger sizes: Radford et al. 2019, table 2, and openai/gpt-2",
        {},
        {
            "gpt2": ("GPT-2, 124M", {}),
            "distilgpt2": ("GPT-2 with half the layers, 82M", {"n_layer": 6}),
            "gpt2-medium": ("GPT-2, 355M", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
            "gpt2-large": ("GPT-2, 774M", {"n_embd": 1280, "n_layer": 36, "n_head": 20}),
            "gpt2-xl": ("GPT-2, 1.6B", {"n_embd": 1600, "n_layer": 48, "n_head": 25}),
        },
    )


def _scaling(factor: float) -> dict[str, Any]:
    """How LLaMA 3.1 and 3.2 stretch their rotations."""
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def _llama2() -> Iterator[ConfigPreset]:
    yield from group(
        llama.Llama,
        LITGPT,
        {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
        {
            "llama-2-7b": ("LLaMA 2, 7B", decoder(32, 4096, 32, 32, 11008)),
            "llama-2-13b": ("LLaMA 2, 13B", decoder(40, 5120, 40, 40, 13824)),
            "llama-2-70b": ("LLaMA 2, 70B", decoder(80, 8192, 64, 8, 28672)),
        },
    )


def _llama3() -> Iterator[ConfigPreset]:
    common = {
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "bos_token_id": 128000,
        "eos_token_id": 128001,
    }
    small, middle = decoder(32, 4096, 32, 8, 14336), decoder(80, 8192, 64, 8, 28672)
    long = {"max_position_embeddings": 131072, "rope_scaling": _scaling(8.0)}
    longer = {
        "max_position_embeddings": 131072,
        "rope_scaling": _scaling(32.0),
        "tie_word_embeddings": True,
    }
    yield from group(
        llama.Llama,
        f"{LITGPT}; tied heads of 3.2: the config.json of Llama-3.2-3B",
        common,
        {
            "llama-3-8b": ("LLaMA 3, 8B", small),
            "llama-3-70b": ("LLaMA 3, 70B", middle),
            "llama-3.1-8b": ("LLaMA 3.1, 8B", {**small, **long}),
            "llama-3.1-70b": ("LLaMA 3.1, 70B", {**middle, **long}),
            "llama-3.1-405b": ("LLaMA 3.1, 405B", {**decoder(126, 16384, 128, 8, 53248), **long}),
            "llama-3.2-1b": ("LLaMA 3.2, 1.2B", {**decoder(16, 2048, 32, 8, 8192), **longer}),
            "llama-3.2-3b": ("LLaMA 3.2, 3.2B", {**decoder(28, 3072, 24, 8, 8192), **longer}),
        },
    )


def _small_llamas() -> Iterator[ConfigPreset]:
    yield from group(
        llama.Llama,
        LITGPT,
        {"max_position_embeddings": 2048, "rms_norm_eps": 1e-5},
        {"tinyllama-1.1b": ("TinyLlama, 1.1B", decoder(22, 2048, 32, 4, 5632))},
    )
    smollm2 = {
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
    }
    large = decoder(24, 2048, 32, 32, 8192, rope_theta=130000.0)
    yield from group(
        llama.Llama,
        f"{LITGPT}; tied heads follow from the published counts",
        smollm2,
        {
            "smollm2-135m": ("SmolLM2, 135M", decoder(30, 576, 9, 3, 1536)),
            "smollm2-360m": ("SmolLM2, 360M", decoder(32, 960, 15, 5, 2560)),
            "smollm2-1.7b": ("SmolLM2, 1.7B", large),
        },
    )


def _mistral() -> Iterator[ConfigPreset]:
    first = {"max_position_embeddings": 32768, "rms_norm_eps": 1e-5}
    yield from group(
        llama.Mistral,
        LITGPT,
        first,
        {
            "mistral-7b": (
                "Mistral, 7B",
                {"rope_theta": 10000.0, "sliding_window": 4096},
            ),
        },
    )
    wide = decoder(56, 6144, 48, 8, 16384, vocab_size=32768, max_position_embeddings=65536)
    yield from group(
        moe.Mixtral,
        LITGPT,
        {**first, "rope_theta": 1000000.0},
        {
            "mixtral-8x7b": ("Mixtral, 8 experts, 47B", {}),
            "mixtral-8x22b": ("Mixtral, 8 experts, 141B", wide),
        },
    )


def _qwen() -> Iterator[ConfigPreset]:
    shared = {"rope_theta": 1000000.0, "bos_token_id": 151643, "eos_token_id": 151643}
    tied, wide = {"tie_word_embeddings": True}, {"vocab_size": 152064}
    long, short = {"max_position_embeddings": 131072}, {"max_position_embeddings": 32768}
    coarse = {"rms_norm_eps": 1e-5}
    yield from group(
        llama.Qwen2,
        f"{LITGPT}; tied heads follow from the published counts with and without embeddings",
        shared,
        {
            "qwen2.5-0.5b": ("Qwen 2.5, 0.5B", decoder(24, 896, 14, 2, 4864, **tied, **short)),
            "qwen2.5-1.5b": ("Qwen 2.5, 1.5B", decoder(28, 1536, 12, 2, 8960, **tied, **long)),
            "qwen2.5-3b": ("Qwen 2.5, 3B", decoder(36, 2048, 16, 2, 11008, **tied, **short)),
            "qwen2.5-7b": ("Qwen 2.5, 7.6B", decoder(28, 3584, 28, 4, 18944, **wide, **long)),
            "qwen2.5-14b": (
                "Qwen 2.5, 14B",
                decoder(48, 5120, 40, 8, 13824, **wide, **long, **coarse),
            ),
            "qwen2.5-32b": (
                "Qwen 2.5, 32B",
                decoder(64, 5120, 40, 8, 27648, **wide, **long, **coarse),
            ),
            "qwen2.5-72b": (
                "Qwen 2.5, 72B",
                decoder(80, 8192, 64, 8, 29568, **wide, **long, **coarse),
            ),
        },
    )
    third = {**shared, "max_position_embeddings": 40960, "head_dim": 128}
    yield from group(
        llama.Qwen3,
        f"{LITGPT}; tied heads follow from the published counts with and without embeddings",
        third,
        {
            "qwen3-0.6b": ("Qwen 3, 0.6B", decoder(28, 1024, 16, 8, 3072, **tied)),
            "qwen3-1.7b": ("Qwen 3, 1.7B", decoder(28, 2048, 16, 8, 6144, **tied)),
            "qwen3-4b": ("Qwen 3, 4B", decoder(36, 2560, 32, 8, 9728, **tied)),
            "qwen3-8b": ("Qwen 3, 8B", decoder(36, 4096, 32, 8, 12288)),
            "qwen3-14b": ("Qwen 3, 14B", decoder(40, 5120, 40, 8, 17408)),
            "qwen3-32b": ("Qwen 3, 32B", decoder(64, 5120, 64, 8, 25600)),
        },
    )
    yield from group(
        moe.Qwen3Moe,
        LITGPT,
        {**third, "norm_topk_prob": True},
        {
            "qwen3-30b-a3b": ("Qwen 3, 128 experts, 30B", decoder(48, 2048, 32, 4, 6144)),
            "qwen3-235b-a22b": (
                "Qwen 3, 128 experts, 235B",
                decoder(94, 4096, 64, 4, 12288, moe_intermediate_size=1536),
            ),
        },
    )


def _gemma() -> Iterator[ConfigPreset]:
    yield from group(
        llama.Gemma,
        LITGPT,
        {},
        {
            "gemma-2b": ("Gemma, 2.5B", decoder(18, 2048, 8, 1, 16384)),
            "gemma-7b": ("Gemma, 8.5B", {}),
        },
    )
    yield from group(
        llama.Gemma2,
        LITGPT,
        {},
        {
            "gemma-2-2b": ("Gemma 2, 2.6B", {}),
            "gemma-2-9b": ("Gemma 2, 9B", decoder(42, 3584, 16, 8, 14336)),
            "gemma-2-27b": (
                "Gemma 2, 27B",
                decoder(46, 4608, 32, 16, 36864, head_dim=128, query_pre_attn_scalar=144),
            ),
        },
    )
    yield from group(
        llama.Gemma3Text,
        LITGPT,
        {},
        {
            "gemma-3-1b": (
                "Gemma 3, 1B",
                decoder(
                    26, 1152, 4, 1, 6912, vocab_size=262144, sliding_window=512
                ),
            )
        },
    )  # fmt: skip


def _phi() -> Iterator[ConfigPreset]:
    yield from group(
        llama.Phi3,
        LITGPT,
        {},
        {
            "phi-3-mini": ("Phi-3 mini, 3.8B", {}),
        },
    )  # fmt: skip


def _others() -> Iterator[ConfigPreset]:
    yield from group(
        phi.Phi,
        LITGPT,
        {},
        {
            "phi-1.5": ("Phi-1.5, 1.4B", {}),
            "phi-2": (
                "Phi-2, 2.8B",
                decoder(32, 2560, 32, 32, 10240, partial_rotary_factor=0.4),
            ),
        },
    )
    wide = {
        "num_hidden_layers": 60,
        "hidden_size": 8192,
        "num_attention_heads": 128,
        "num_kv_heads": 8,
        "new_decoder_architecture": True,
    }
    yield from group(
        fused.Falcon,
        LITGPT,
        {},
        {"falcon-7b": ("Falcon, 6.9B", {}), "falcon-40b": ("Falcon, 41B", wide)},
    )
    yield from group(
        llama.Olmo,
        LITGPT,
        {},
        {
            "olmo-1b": (
                "OLMo, 1.2B",
                decoder(16, 2048, 16, 16, 8192, tie_word_embeddings=True),
            ),
            "olmo-7b": ("OLMo, 7B", {}),
        },
    )


def _pythia() -> Iterator[ConfigPreset]:
    def size(layers: int, width: int, heads: int, vocabulary: int = 50304) -> dict[str, Any]:
        return {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "num_attention_heads": heads,
            "intermediate_size": 4 * width,
            "vocab_size": vocabulary,
        }

    yield from group(
        gpt_neox.GPTNeoX,
        LITGPT,
        {"bos_token_id": 0, "eos_token_id": 0},
        {
            "pythia-14m": ("Pythia, 14M", size(6, 128, 4)),
            "pythia-31m": ("Pythia, 31M", size(6, 256, 8)),
            "pythia-70m": ("Pythia, 70M", size(6, 512, 8)),
            "pythia-160m": ("Pythia, 160M", size(12, 768, 12)),
            "pythia-410m": ("Pythia, 410M", size(24, 1024, 16)),
            "pythia-1b": ("Pythia, 1B", size(16, 2048, 8)),
            "pythia-1.4b": ("Pythia, 1.4B", size(24, 2048, 16)),
            "pythia-2.8b": ("Pythia, 2.8B", size(32, 2560, 32)),
            "pythia-6.9b": ("Pythia, 6.9B", size(32, 4096, 32, 50432)),
            "pythia-12b": ("Pythia, 12B", size(36, 5120, 40, 50688)),
        },
    )
    yield from group(gpt_neox.GPTNeoX, LIBRARY, {}, {"gpt-neox-20b": ("GPT-NeoX, 20B", {})})


def _opt() -> Iterator[ConfigPreset]:
    def size(layers: int, width: int, heads: int, **others: Any) -> dict[str, Any]:
        return {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "num_attention_heads": heads,
            "ffn_dim": 4 * width,
            **others,
        }

    narrow = {"word_embed_proj_dim": 512, "do_layer_norm_before": False}
    yield from group(
        opt.OPT,
        f"{LIBRARY}; Zhang et al. 2022, table 1; 350M: its modules as printed by the library",
        {},
        {
            "opt-125m": ("OPT, 125M", {}),
            "opt-350m": ("OPT, 350M, norms after", size(24, 1024, 16, **narrow)),
            "opt-1.3b": ("OPT, 1.3B", size(24, 2048, 32)),
            "opt-2.7b": ("OPT, 2.7B", size(32, 2560, 32)),
            "opt-6.7b": ("OPT, 6.7B", size(32, 4096, 32)),
            "opt-13b": ("OPT, 13B", size(40, 5120, 40)),
            "opt-30b": ("OPT, 30B", size(48, 7168, 56)),
        },
    )


def _mamba() -> Iterator[ConfigPreset]:
    def size(layers: int, width: int) -> dict[str, Any]:
        return {"num_hidden_layers": layers, "hidden_size": width}

    yield from group(
        mamba.Mamba,
        "LaurentMazare/mamba.rs, which cites the config.json of each",
        {},
        {
            "mamba-130m": ("Mamba, 130M", size(24, 768)),
            "mamba-370m": ("Mamba, 370M", size(48, 1024)),
            "mamba-790m": ("Mamba, 790M", size(48, 1536)),
            "mamba-1.4b": ("Mamba, 1.4B", size(48, 2048)),
            "mamba-2.8b": ("Mamba, 2.8B", size(64, 2560)),
        },
    )


LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
"""BERT large, and what was shaped after it."""


def _encoders() -> Iterator[ConfigPreset]:
    cased = {"vocab_size": 28996}
    yield from group(
        bert.Bert,
        f"{LIBRARY}; large: Devlin et al. 2019; cased: their vocabulary of 28,996",
        {},
        {
            "bert-base-uncased": ("BERT base, 110M", {}),
            "bert-base-cased": ("BERT base, 108M", cased),
            "bert-large-uncased": ("BERT large, 335M", LARGE),
            "bert-large-cased": ("BERT large, 333M", {**LARGE, **cased}),
        },
    )
    yield from group(
        bert.Roberta,
        "config.json of both, as printed by the library",
        {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        {
            "roberta-base": ("RoBERTa base, 125M", {}),
            "roberta-large": ("RoBERTa large, 355M", LARGE),
        },
    )
    yield from group(
        bert.XLMRoberta,
        "fields of the config.json of both, as quoted in public sources",
        {
            "vocab_size": 250002,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
        },
        {
            "xlm-roberta-base": ("XLM-RoBERTa base, 278M", {}),
            "xlm-roberta-large": ("XLM-RoBERTa large, 560M", LARGE),
        },
    )
    yield from group(
        bert.Electra, LIBRARY, {}, {"electra-small-discriminator": ("ELECTRA small, 14M", {})}
    )
    yield from group(
        bert.DistilBert,
        LIBRARY,
        {},
        {
            "distilbert-base-uncased": ("DistilBERT, 66M", {}),
            "distilbert-base-cased": ("DistilBERT, 65M", cased),
        },
    )


def _sequences() -> Iterator[ConfigPreset]:
    def size(width: int, head: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
        return {
            "d_model": width,
            "d_kv": head,
            "d_ff": inner,
            "num_layers": layers,
            "num_heads": heads,
        }

    yield from group(
        t5.T5,
        f"{LIBRARY}; larger sizes: Raffel et al. 2020, section 3.7",
        {"decoder_start_token_id": 0},
        {
            "t5-small": ("T5, 60M", {}),
            "t5-base": ("T5, 220M", size(768, 64, 3072, 12, 12)),
            "t5-large": ("T5, 770M", size(1024, 64, 4096, 24, 16)),
            "t5-3b": ("T5, 3B", size(1024, 128, 16384, 24, 32)),
            "t5-11b": ("T5, 11B", size(1024, 128, 65536, 24, 128)),
        },
    )
    yield from group(bart.Bart, LIBRARY, {}, {"bart-large": ("BART large, 406M", {})})

    def ears(width: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
        return {
            "d_model": width,
            "encoder_layers": layers,
            "decoder_layers": layers,
            "encoder_attention_heads": heads,
            "decoder_attention_heads": heads,
            "encoder_ffn_dim": 4 * width,
            "decoder_ffn_dim": 4 * width,
            **others,
        }

    third = {"num_mel_bins": 128, "vocab_size": 51866}
    many = {
        "bos_token_id": 50257,
        "eos_token_id": 50257,
        "decoder_start_token_id": 50258,
    }
    yield from group(
        bart.Whisper,
        "scripts/whisper/model-info.md of k2-fsa/sherpa-onnx; large-v3: 128 bands, 51,866 tokens",
        many,
        {
            "whisper-tiny": ("Whisper, 39M", ears(384, 4, 6)),
            "whisper-base": ("Whisper, 74M", ears(512, 6, 8)),
            "whisper-small": ("Whisper, 244M", ears(768, 12, 12)),
            "whisper-medium": ("Whisper, 769M", ears(1024, 24, 16)),
            "whisper-large": ("Whisper, 1.5B", ears(1280, 32, 20)),
            "whisper-large-v3": ("Whisper, 1.5B, more bands", ears(1280, 32, 20, **third)),
            "whisper-large-v3-turbo": (
                "Whisper, 809M, four decoder layers",
                {**ears(1280, 32, 20, **third), "decoder_layers": 4},
            ),
        },
    )


def _images() -> Iterator[ConfigPreset]:
    huge = {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "intermediate_size": 5120,
        "patch_size": 14,
    }
    yield from group(
        vit.ViT,
        f"{LIBRARY}; larger sizes: Dosovitskiy et al. 2021, table 1",
        {"num_labels": 1000},
        {
            "vit-base-patch16-224": ("ViT base, 86M", {}),
            "vit-base-patch32-224": ("ViT base, 88M, patches of 32", {"patch_size": 32}),
            "vit-large-patch16-224": ("ViT large, 304M", LARGE),
            "vit-huge-patch14-224": ("ViT huge, 632M", huge),
        },
    )
    tiny = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    small = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    teacher = {"num_labels": 1000, "architectures": ["DeiTForImageClassificationWithTeacher"]}
    yield from group(
        vit.DeiT,
        f"{LIBRARY}; smaller sizes: Touvron et al. 2021, table 1",
        teacher,
        {
            "deit-tiny-distilled-patch16-224": ("DeiT tiny, 6M", tiny),
            "deit-small-distilled-patch16-224": ("DeiT small, 22M", small),
            "deit-base-distilled-patch16-224": ("DeiT base, 87M", {}),
        },
    )
    wide_text = {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "projection_dim": 768,
    }
    wide = {**LARGE, "patch_size": 14, "projection_dim": 768}
    yield from group(
        clip.CLIP,
        f"{LIBRARY}; other sizes: model_configs of mlfoundations/open_clip",
        {},
        {
            "clip-vit-base-patch32": ("CLIP, patches of 32, 151M", {}),
            "clip-vit-base-patch16": (
                "CLIP, patches of 16, 150M",
                {"vision_config": {"patch_size": 16}},
            ),
            "clip-vit-large-patch14": (
                "CLIP large, 428M",
                {"text_config": wide_text, "vision_config": wide, "projection_dim": 768},
            ),
        },
    )
    yield from group(
        clip.Siglip, LIBRARY, {}, {"siglip-base-patch16-224": ("SigLIP base, 203M", {})}
    )


KNOWN: tuple[ConfigPreset, ...] = tuple(
    preset
    for sizes in (
        _gpt2, _llama2, _llama3, _small_llamas, _mistral, _qwen, _gemma, _phi, _others, _pythia,
        _opt, _mamba, _encoders, _sequences, _images,
    )
    for preset in sizes()
)  # fmt: skip
"""Every known size, in the order of the catalogue."""
