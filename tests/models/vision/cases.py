"""Arguments that the builders of torchvision take, beside none at all."""

from __future__ import annotations

from typing import Any

from seedbed.models.vision import PRESETS

ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("alexnet", {"num_classes": 3}),
    ("vgg13_bn", {"num_classes": 7, "init_weights": False}),
    ("squeezenet1_1", {"num_classes": 5}),
    ("resnet18", {"zero_init_residual": True, "num_classes": 1}),
    ("resnet50", {"zero_init_residual": True, "groups": 2, "width_per_group": 48}),
    ("resnext50_32x4d", {"num_classes": 11}),
    ("tiny-resnet", {"inplanes": 16}),
    ("densenet121", {"bn_size": 2, "num_classes": 12}),
    ("tiny-densenet", {"growth_rate": 5, "block_config": [1, 3, 2], "num_init_features": 7}),
    ("googlenet", {"aux_logits": False, "num_classes": 2}),
    ("googlenet", {"init_weights": False}),
    ("inception_v3", {"aux_logits": False, "init_weights": False}),
    ("inception_v3", {"num_classes": 4}),
    ("mobilenet_v2", {"width_mult": 1.4, "round_nearest": 4}),
    ("mobilenet_v2", {"inverted_residual_setting": [[1, 16, 1, 1], [4, 24, 2, 2], [3, 30, 1, 1]]}),
    ("mobilenet_v3_large", {"reduced_tail": True, "width_mult": 0.75}),
    ("mobilenet_v3_small", {"reduced_tail": True, "num_classes": 9}),
    ("mnasnet1_3", {"num_classes": 6}),
    ("shufflenet_v2_x1_5", {"num_classes": 8}),
    ("efficientnet_b3", {"num_classes": 13}),
    ("efficientnet_v2_m", {"num_classes": 14}),
    ("tiny-efficientnet", {"width_mult": 0.35, "depth_mult": 1.3, "last_channel": 40}),
    ("regnet_y_800mf", {"num_classes": 15, "stem_width": 24}),
    ("tiny-regnet", {"depth": 13, "w_0": 24, "w_a": 17.3, "w_m": 2.2, "group_width": 16}),
    ("tiny-regnet", {"w_a": 12.5, "bottleneck_multiplier": 0.5, "se_ratio": None}),
    ("convnext_small", {"layer_scale": 0.5, "num_classes": 17}),
    ("tiny-convnext", {"block_setting": [[8, 12, 2], [12, 20, 1], [20, 24, 1]]}),
    ("vit_b_16", {"image_size": 384, "representation_size": 100, "num_classes": 18}),
    (
        "vit_b_32",
        {
            "conv_stem_configs": [
                {"out_channels": 8, "kernel_size": 3, "stride": 2},
                {"out_channels": 16, "kernel_size": 5, "stride": 4},
            ]
        },
    ),
    ("tiny-vit_b", {"patch_size": 4, "num_layers": 3, "num_heads": 2, "mlp_dim": 96}),
    ("swin_s", {"mlp_ratio": 3.0, "num_classes": 19}),
    ("swin_v2_s", {"num_classes": 20}),
    ("tiny-swin", {"window_size": [3, 5], "patch_size": [4, 2], "num_heads": [2, 4, 8]}),
    ("tiny-swin_v2", {"window_size": [2, 5], "depths": [2, 1, 1]}),
    ("maxvit_t", {"input_size": [448, 224], "num_classes": 21}),
    ("tiny-maxvit", {"partition_size": 2, "head_dim": 4, "squeeze_ratio": 0.5, "mlp_ratio": 2}),
    ("tiny-maxvit", {"expansion_ratio": 2.5, "block_layers": [1, 2]}),
    ("lenet5", {"in_channels": 3, "num_classes": 2}),
    ("mlp", {"norm_layer": "BatchNorm1d", "bias": False, "hidden_channels": [32, 16, 8, 4]}),
    ("mlp", {"norm_layer": "LayerNorm", "in_channels": 10, "hidden_channels": [3]}),
    ("alexnet-2012", {"num_classes": 22}),
)
"""Preset and arguments."""

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    *((preset.name, {}) for preset in PRESETS),
    *ARGUMENTS,
)
