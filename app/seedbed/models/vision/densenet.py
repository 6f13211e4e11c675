"""DenseNet (Huang et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from seedbed.init import Parameter, Size, scheme, zero
from seedbed.models.base import Architecture, Preset
from seedbed.models.vision.modules import TORCHVISION, Classes, Depths, Modules, batch_norm

_MODULES = Modules(scheme("he_normal"), linear_bias=zero())


class DenseNet(Architecture):
    """torchvision's `DenseNet`: He normal by fan_in, the last linear layer without bias at first.

    Names are those of a new model (`denselayer1.norm1`), not of the files on the web (`norm.1`).
    """

    library = TORCHVISION

    growth_rate: Size = Field(32, description="Channels that each layer adds.")
    block_config: Depths = Field((6, 12, 24, 16), description="Layers of each block.")
    num_init_features: Size = Field(64, description="Channels of the first convolution.")
    bn_size: Size = Field(4, description="Width of a bottleneck, in growth rates.")
    num_classes: Classes = 1000

    def parameters(self) -> Iterator[Parameter]:
        """In the order of the library's `state_dict`."""
        width, growth = self.num_init_features, self.growth_rate
        bottleneck = self.bn_size * growth
        yield from _MODULES.conv2d("features.conv0", 3, width, 7)
        yield from batch_norm("features.norm0", width)
        for block, layers in enumerate(self.block_config, start=1):
            for layer in range(1, layers + 1):
                name = f"features.denseblock{block}.denselayer{layer}"
                yield from batch_norm(f"{name}.norm1", width)
                yield from _MODULES.conv2d(f"{name}.conv1", width, bottleneck)
                yield from batch_norm(f"{name}.norm2", bottleneck)
                yield from _MODULES.conv2d(f"{name}.conv2", bottleneck, growth, 3)
                width += growth
            if block < len(self.block_config):
                name = f"features.transition{block}"
                yield from batch_norm(f"{name}.norm", width)
                yield from _MODULES.conv2d(f"{name}.conv", width, width // 2)
                width //= 2
        yield from batch_norm("features.norm5", width)
        yield from _MODULES.fully_connected("classifier", width, self.num_classes)


def _preset(layers: int, growth: int, blocks: tuple[int, ...], width: int) -> Preset:
    return Preset(
        f"densenet{layers}",
        f"DenseNet-{layers} (Huang et al. 2016)",
        DenseNet,
        {"growth_rate": growth, "block_config": blocks, "num_init_features": width},
    )


PRESETS = (
    _preset(121, 32, (6, 12, 24, 16), 64),
    _preset(161, 48, (6, 12, 36, 24), 96),
    _preset(169, 32, (6, 12, 32, 32), 64),
    _preset(201, 32, (6, 12, 48, 32), 64),
    Preset(
        "tiny-densenet",
        "A small DenseNet for tests: four blocks of two layers, growth 8, ten classes",
        DenseNet,
        {
            "growth_rate": 8,
            "block_config": (2, 2, 2, 2),
            "num_init_features": 16,
            "num_classes": 10,
        },
    ),
)
