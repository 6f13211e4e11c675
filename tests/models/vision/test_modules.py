from __future__ import annotations

import pytest

from seedbed.models.vision.modules import Modules, make_divisible


@pytest.mark.parametrize(
    ("value", "divisor", "expected"),
    [
        (32, 8, 32),
        (3, 8, 8),
        (12, 8, 16),  # halves go up
        (11.9, 8, 16),  # 8 would be less than 90 % of it
        (16.5, 8, 16),
        (18, 8, 24),
        (17.7, 8, 16),
        (17.8, 8, 24),
        (128.0 * 1.1, 8, 144),
        (10, 4, 12),
        (5, 1, 5),
    ],
)
def test_channels_are_multiples(value: float, divisor: int, expected: int) -> None:
    """The nearest multiple, but no less than nine tenths, as the tables of MobileNet need it."""
    assert make_divisible(value, divisor) == expected


def test_biases_of_torch_see_the_fan_of_their_weight() -> None:
    """That of a grouped convolution counts the channels of a group, and all of its kernel."""
    weight, bias = Modules().conv2d("c", 32, 64, (3, 1), 4, bias=True)
    assert (weight.name, weight.shape) == ("c.weight", (64, 8, 3, 1))
    bound = 1 / 24**0.5
    assert bias.init.canonical() == {"scheme": "uniform", "low": -bound, "high": bound}
    assert bias.shape == (64,)
