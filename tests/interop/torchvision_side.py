"""What the real torchvision says of its networks: a program of its own, for it needs its own world.

Its wheel is built for a CUDA torch, and beside a CPU torch two compiled operations are missing that
no network here needs; they are declared empty. That is done here, where nothing else imports
torchvision, and not in the environment that transformers shares.

    python torchvision_side.py describe|measure|load|digest < cases.json > answers.json

A case is `{"name", "arguments"}`: a preset of Seedbed's and what is given to its builder. `measure`
also takes `seeds`, and `load` a `path` and the shape of an `input`. `digest` wrote
tests/golden/torchvision-0.28.0.json, for every preset.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

OPERATIONS = torch.library.Library("torchvision", "DEF")
try:
    import torchvision
except RuntimeError:
    for loaded in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    for operation in ("nms", "qnms"):
        OPERATIONS.define(f"{operation}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

from torchvision import models  # noqa: E402
from torchvision.models import (  # noqa: E402
    convnext,
    densenet,
    efficientnet,
    maxvit,
    regnet,
    resnet,
    swin_transformer,
    vision_transformer,
)

SAMPLE = 1 << 16
"""Elements of a tensor that are looked at."""

CODES = {torch.float32: "F32", torch.int64: "I64"}


class LeNet5(nn.Module):
    """As PyTorch's tutorial on neural networks defines it."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions with pooling, three linear layers."""
        pool = nn.functional.max_pool2d
        x = pool(torch.relu(self.conv1(x)), 2)
        x = pool(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class AlexNet2012(nn.Module):
    """As §3 and §5 of its paper have it."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4, 2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, num_classes)
        for name, value in self.named_parameters():
            ones = name.split(".")[0] in ("conv2", "conv4", "conv5", "fc6", "fc7")
            if name.endswith("weight"):
                nn.init.normal_(value, 0.0, 0.01)
            else:
                nn.init.constant_(value, float(ones))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Five convolutions, three linear layers."""
        pool, norm = nn.functional.max_pool2d, nn.functional.local_response_norm
        x = pool(norm(torch.relu(self.conv1(x)), 5, k=2.0), 3, 2)
        x = pool(norm(torch.relu(self.conv2(x)), 5, k=2.0), 3, 2)
        x = torch.relu(self.conv4(torch.relu(self.conv3(x))))
        x = pool(torch.relu(self.conv5(x)), 3, 2).flatten(1)
        x = torch.relu(self.fc7(torch.relu(self.fc6(x))))
        return self.fc8(x)


def narrow_resnet(inplanes: int = 8, **arguments: Any) -> nn.Module:
    """Torchvision's ResNet with the 64 planes of its first stage replaced."""

    class Narrow(resnet.ResNet):
        def _make_layer(self, block: Any, planes: int, *rest: Any, **more: Any) -> nn.Sequential:
            if planes == 64:
                self.conv1 = nn.Conv2d(3, inplanes, 7, 2, 3, bias=False)
                self.bn1 = nn.BatchNorm2d(inplanes)
                self.inplanes = inplanes
            layer = super()._make_layer(block, planes * inplanes // 64, *rest, **more)
            self.wide = self.inplanes
            return layer

    network = Narrow(resnet.BasicBlock, [1, 1, 1, 1], **{"num_classes": 10, **arguments})
    network.fc = nn.Linear(network.wide, network.fc.out_features)
    return network


def small_efficientnet(**arguments: Any) -> nn.Module:
    """Torchvision's table of B0, scaled."""
    scale = {key: arguments.pop(key, 0.25) for key in ("width_mult", "depth_mult")}
    setting, last = efficientnet._efficientnet_conf("efficientnet_b0", **scale)
    return efficientnet.EfficientNet(
        setting, 0.2, **{"num_classes": 10, "last_channel": last, **arguments}
    )


def small_convnext(**arguments: Any) -> nn.Module:
    """Torchvision's ConvNeXt of four small stages."""
    stages = [(8, 16, 1), (16, 32, 1), (32, 64, 1), (64, None, 1)]
    stages = arguments.pop("block_setting", stages)
    blocks = [convnext.CNBlockConfig(*stage) for stage in stages]
    return convnext.ConvNeXt(blocks, **{"num_classes": 10, **arguments})


def small_regnet(**arguments: Any) -> nn.Module:
    """Torchvision's RegNet by its parameters."""
    given = {"depth": 6, "w_0": 8, "w_a": 8.0, "w_m": 2.0, "group_width": 8, "se_ratio": 0.25}
    given |= {"stem_width": 8, "num_classes": 10, **arguments}
    ours = {key: given.pop(key) for key in ("stem_width", "num_classes")}
    return regnet.RegNet(regnet.BlockParams.from_init_params(**given), **ours)


def vit(builder: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """A vision transformer, whose stem is given as objects."""
    stems = arguments.pop("conv_stem_configs", None)
    if stems is not None:
        arguments["conv_stem_configs"] = [
            vision_transformer.ConvStemConfig(**stem) for stem in stems
        ]
    return builder(**arguments)


def small_vit(**arguments: Any) -> nn.Module:
    """Torchvision's vision transformer of two blocks."""
    given = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 4}
    given |= {"hidden_dim": 64, "mlp_dim": 128, "num_classes": 10}
    return vit(vision_transformer.VisionTransformer, **{**given, **arguments})


def small_swin(*, second: bool, **arguments: Any) -> nn.Module:
    """Torchvision's Swin of three small stages."""
    given: dict[str, Any] = {"patch_size": [2, 2], "embed_dim": 16, "depths": [1, 1, 1]}
    given |= {"num_heads": [1, 2, 4], "window_size": [4, 4], "num_classes": 10}
    if second:
        given["block"] = swin_transformer.SwinTransformerBlockV2
        given["downsample_layer"] = swin_transformer.PatchMergingV2
    return swin_transformer.SwinTransformer(**{**given, **arguments})


def small_maxvit(**arguments: Any) -> nn.Module:
    """Torchvision's MaxViT of two small blocks."""
    given: dict[str, Any] = {"input_size": (32, 32), "stem_channels": 8, "partition_size": 4}
    given |= {"block_channels": [16, 32], "block_layers": [1, 1], "head_dim": 8, "num_classes": 10}
    return maxvit.MaxVit(**{**given, "stochastic_depth_prob": 0.0, **arguments})


def mlp(
    in_channels: int = 784,
    hidden_channels: tuple[int, ...] = (512, 512, 10),
    norm_layer: str | None = None,
    **arguments: Any,
) -> nn.Module:
    """Torchvision's MLP, whose normalisation is given by its name."""
    norm = norm_layer and getattr(nn, norm_layer)
    return torchvision.ops.MLP(in_channels, list(hidden_channels), norm_layer=norm, **arguments)


OURS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": LeNet5,
    "mlp": mlp,
    "alexnet-2012": AlexNet2012,
    "tiny-resnet": narrow_resnet,
    "tiny-densenet": lambda **more: densenet.DenseNet(
        **{
            "growth_rate": 8,
            "block_config": (2, 2, 2, 2),
            "num_init_features": 16,
            "num_classes": 10,
            **more,
        }
    ),
    "tiny-mobilenet_v2": lambda **more: models.mobilenet_v2(
        **{"width_mult": 0.1, "num_classes": 10, **more}
    ),
    "tiny-mobilenet_v3": lambda **more: models.mobilenet_v3_small(
        **{"width_mult": 0.1, "num_classes": 10, **more}
    ),
    "tiny-efficientnet": small_efficientnet,
    "tiny-convnext": small_convnext,
    "tiny-regnet": small_regnet,
    "tiny-vit_b": small_vit,
    "tiny-swin": lambda **more: small_swin(second=False, **more),
    "tiny-swin_v2": lambda **more: small_swin(second=True, **more),
    "tiny-maxvit": small_maxvit,
}
"""Presets that are no builder of torchvision: the same modules, put together here."""


def build(name: str, arguments: dict[str, Any], device: str) -> nn.Module:
    """A network as torchvision initialises it."""
    builder = OURS.get(name) or models.get_model_builder(name)
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GoogLeNet and Inception announce another default
        return vit(builder, **arguments) if name.startswith("vit") else builder(**arguments)


def params_on_the_cpu() -> None:
    """RegNet's widths are computed with tensors, whose values a meta device does not have."""
    params = regnet.BlockParams.from_init_params.__func__

    def from_init_params(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return params(cls, *args, **kwargs)

    regnet.BlockParams.from_init_params = classmethod(from_init_params)


def describe(case: dict[str, Any]) -> dict[str, Any]:
    """Name, dtype and shape of every tensor, and how many parameters torchvision publishes."""
    network = build(case["name"], case["arguments"], "meta")
    published = None
    if case["name"] not in OURS and not case["arguments"]:
        published = models.get_model_weights(case["name"]).DEFAULT.meta["num_params"]
    return {
        "tensors": [
            [name, CODES[one.dtype], list(one.shape)] for name, one in network.state_dict().items()
        ],
        "parameters": sum(one.numel() for one in network.parameters()),
        "published": published,
    }


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Count, mean, standard deviation and ends of every tensor over some builds.

    Of a large one, of its first elements; `fixed` says that they are the same in every build.
    """
    builds = []
    for seed in range(case["seeds"]):
        torch.manual_seed(seed)
        builds.append(build(case["name"], case["arguments"], "cpu").state_dict())
    found = {}
    for name in builds[0]:
        values = torch.stack([one[name].flatten()[:SAMPLE].double() for one in builds])
        fixed = bool((values == values[0]).all())
        found[name] = {
            "count": values.numel(),
            "mean": values.mean().item(),
            "std": values.std(correction=0).item(),
            "low": values.min().item(),
            "high": values.max().item(),
            "fixed": fixed,
        }
    return found


def load(case: dict[str, Any]) -> dict[str, Any]:
    """Load a file strictly, and put an image through: whether what comes out is finite."""
    from safetensors.torch import load_file

    state = load_file(case["path"])
    network = build(case["name"], case["arguments"], "meta")
    if isinstance(network, models.MNASNet):  # which wants to know how old a state is
        state = OrderedDict(state)
        state._metadata = network.state_dict()._metadata
    network.load_state_dict(state, strict=True, assign=True)
    network.eval()
    image = torch.randn(case["input"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out = network(image)
    return {"finite": bool(out.isfinite().all()), "shape": list(out.shape)}


def digest(case: dict[str, Any]) -> dict[str, Any]:
    """What `describe` says, in short."""
    found = describe(case)
    lines = [f"{name} {dtype} {shape}" for name, dtype, shape in found["tensors"]]
    return {
        "name": case["name"],
        "arguments": case["arguments"],
        "tensors": len(lines),
        "parameters": found["parameters"],
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


ANSWERS = {"describe": describe, "measure": measure, "load": load, "digest": digest}


def main() -> None:
    """Answer every case, by its place."""
    params_on_the_cpu()
    torch.set_num_threads(2)
    answers = [ANSWERS[sys.argv[1]](case) for case in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
