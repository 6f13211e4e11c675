"""Numbers of a tensor that code outside of torch holds too, and may change there.

`w.numpy()[0] = 1` changes `w`, and an array changes what `torch.from_numpy` made of it, with no
operation of torch that a recording could see. So what is handed out stays known, and is compared
before the tensor is read; what torch writes to the tensor is written there too. Numbers that are
random differ in the second run of the build.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seedbed.torch.geometry import Geometry
from seedbed.torch.values import REAL, Value, reality


@dataclass
class Lent:
    """Some elements of a storage, in memory that others have.

    Attributes:
        place: which elements.
        numbers: real, in that memory.
        before: what they were when that was last looked at.
    """

    place: Geometry
    numbers: torch.Tensor
    before: torch.Tensor

    @classmethod
    def of(cls, place: Geometry, numbers: torch.Tensor) -> Lent:
        """Elements whose numbers are as the recording has them."""
        with reality():
            return cls(place, numbers, numbers.clone())

    def changed(self) -> torch.Tensor | None:
        """A copy of the numbers, if others have changed any since."""
        with reality():
            if torch.equal(_bits(self.numbers), _bits(self.before)):
                return None
            self.before = self.numbers.clone()
        return self.before

    def follow(self, value: Value) -> None:
        """Let the others see what the elements hold now, drawn if they are random."""
        if value.elements > REAL:
            return
        real = value.real()
        with reality():
            self.numbers.copy_(real.reshape(self.numbers.shape))
            self.before = self.numbers.clone()


def _bits(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.contiguous().reshape(-1).view(torch.uint8)
