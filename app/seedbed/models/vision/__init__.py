"""Networks for images, as torchvision has them, and small classics.

A module a family, each with its `PRESETS`. To add a family, write its module and name it here.
"""

from seedbed.models.vision import (
    alexnet,
    classics,
    convnext,
    densenet,
    efficientnet,
    googlenet,
    maxvit,
    mobilenet,
    regnet,
    resnet,
    shufflenet,
    squeezenet,
    swin,
    vgg,
    vit,
)

__all__ = ["PRESETS"]

PRESETS = tuple(
    preset
    for family in (
        classics,
        alexnet,
        vgg,
        googlenet,
        resnet,
        densenet,
        squeezenet,
        mobilenet,
        shufflenet,
        efficientnet,
        regnet,
        convnext,
        vit,
        swin,
        maxvit,
    )
    for preset in family.PRESETS
)
