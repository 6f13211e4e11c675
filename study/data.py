"""Real data that can be had without a network: scikit-learn's digits, Debian's Fashion-MNIST."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import SeedbedError

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` (MIT licence) puts its files."""

TEST_DIGITS = 360
RESNET_TRAIN, RESNET_TEST = 6000, 5000
KERAS_TRAIN, KERAS_TEST = 37_800, 4_200
"""As the log in the tracker has it: 42,000 examples, a tenth of them held out."""


class MissingDataError(SeedbedError):
    """A data set or library that the study needs is not installed."""


@dataclass(frozen=True)
class Data:
    """Training and test examples as float32, standardised by the training set, and classes."""

    train: NDArray[np.float32]
    train_classes: NDArray[np.int64]
    test: NDArray[np.float32]
    test_classes: NDArray[np.int64]
    classes: int = 10


def load(name: str, fashion: Path = FASHION) -> Data:
    """A data set by name.

    Args:
        name: `digits` (1,797 of 8×8 pixels), `fashion` (28×28 averaged to 14×14, one channel) or
            `fashion_flat` (784 pixels).
        fashion: directory of Fashion-MNIST's four files.

    Raises:
        MissingDataError: it is not installed, and how to install it.
    """
    if name == "digits":
        return _digits()
    images, classes = _fashion(fashion, "train", 60_000)
    if name == "fashion_flat":
        flat = images.reshape(-1, 784) / np.float32(255)
        return _split(flat[: KERAS_TRAIN + KERAS_TEST], classes, KERAS_TRAIN)
    pooled = images.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / np.float32(255)
    part = pooled[:RESNET_TRAIN]
    mean, std = part.mean(), part.std()
    tests, test_classes = _fashion(fashion, "t10k", 10_000)
    tests = tests[:RESNET_TEST].reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / np.float32(255)
    test = _standard(tests, mean, std)
    return Data(
        _standard(part, mean, std), classes[:RESNET_TRAIN], test, test_classes[:RESNET_TEST]
    )


def _digits() -> Data:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 (heavy, and only needed here)
    except ImportError as error:
        raise MissingDataError(
            "the study's digits come with scikit-learn: pip install scikit-learn"
        ) from error
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.Philox(0)).permutation(len(pixels))
    pixels, classes = (pixels[order] / 16).astype(np.float32), classes[order].astype(np.int64)
    train = pixels[:-TEST_DIGITS]
    scaled = _standard(pixels, train.mean(), train.std())
    return _split(scaled, classes, len(train))


def _standard(
    images: NDArray[np.float32], mean: np.floating, std: np.floating
) -> NDArray[np.float32]:
    """All pixels by one mean and one deviation, so that mean square is about 1 at the input."""
    return np.asarray((images - mean) / std, np.float32)


def _split(pixels: NDArray[np.float32], classes: NDArray[np.int64], train: int) -> Data:
    end = len(pixels)
    return Data(pixels[:train], classes[:train], pixels[train:end], classes[train:end])


def _fashion(
    directory: Path, part: str, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (count, 28, 28) of 0 … 255 and classes, from IDX files."""
    try:
        with gzip.open(directory / f"{part}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16)
        with gzip.open(directory / f"{part}-labels-idx1-ubyte.gz") as file:
            classes = np.frombuffer(file.read(), np.uint8, offset=8)
    except FileNotFoundError as error:
        raise MissingDataError(
            f"there is no Fashion-MNIST in {str(directory)!r}: apt-get install "
            "dataset-fashion-mnist on Debian, or give the directory of its four .gz files with "
            "--fashion-mnist"
        ) from error
    return images.reshape(count, 28, 28).astype(np.float32), classes.astype(np.int64)
