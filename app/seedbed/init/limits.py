"""What one request may ask for. Values are settings; the core is handed them."""

from __future__ import annotations

from dataclasses import dataclass

from seedbed.errors import LimitError


class Bounds:
    """Upper bounds with names: a dataclass derives from it."""

    __slots__ = ()

    def require(self, limit: str, actual: int, unit: str) -> None:
        """Refuse `actual` if it is above the limit of this name.

        Raises:
            LimitError: with both numbers.
        """
        maximum: int = getattr(self, limit)
        if actual > maximum:
            raise LimitError(limit, actual, maximum, unit)


@dataclass(frozen=True, slots=True)
class Limits(Bounds):
    """Upper bounds on a spec and its file.

    The defaults are generous for real models and small for a hostile request: planning costs
    memory by the tensor, while the size of a file costs nothing until it is read.
    """

    max_tensors: int = 200_000
    max_rank: int = 32
    max_rules: int = 128
    max_rule_work: int = 2**28
    max_name_bytes: int = 1024
    max_metadata_bytes: int = 65_536
    max_header_bytes: int = 100_000_000
    max_file_bytes: int = 2**44
    max_shards: int = 4096
    max_dense_elements: int = 2**24
    max_dense_bytes: int = 2**29
    max_literal_elements: int = 65_536
