"""All files of a spec, as the directory that `save_pretrained` would have left.

The spec is planned once. The whole checkpoint as one file, each shard of it, the index and the
small files beside them are made when they are first asked for, which draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from seedbed.errors import SpecError
from seedbed.files.beside import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_NAME,
    CARD_NAME,
    CONFIG_NAME,
    GENERATION_NAME,
    written,
)
from seedbed.files.card import make_card
from seedbed.files.identity import SpecIdentity
from seedbed.files.layout import Layout
from seedbed.files.packed import Packed, order_of
from seedbed.files.shards import INDEX_NAME, make_index, shard_names, split_tensors
from seedbed.files.small import File, SmallFile
from seedbed.files.spec import CheckpointSpec
from seedbed.files.virtual import FILE_NAME, VirtualFile, plan_of
from seedbed.init import Limits, MatrixCache, TensorPlan
from seedbed.models import Model, absent
from seedbed.stream import Engine

_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


class Checkpoint:
    """The files of a spec.

    Args:
        spec: tensors, schemes, seed, and how large a shard may be.
        limits: what it may ask for.
        engine: who draws; every engine draws the same.
        matrices: where matrices that are made as a whole are kept.

    Raises:
        SpecError: the spec cannot mean a file, and where.
        LimitError: it asks for more than a limit.
    """

    def __init__(
        self,
        spec: CheckpointSpec,
        limits: Limits | None = None,
        engine: Engine | None = None,
        matrices: MatrixCache | None = None,
    ) -> None:
        self._hold(spec, limits or Limits(), engine, matrices)
        self.tensors = plan_of(spec, self._limits)

    def _hold(
        self,
        spec: CheckpointSpec | SpecIdentity,
        limits: Limits,
        engine: Engine | None,
        matrices: MatrixCache | None,
    ) -> None:
        self.spec = spec
        self._limits = limits
        self._engine = engine
        self._matrices = matrices
        self._made: dict[str, File] = {}
        self._layout: Layout | None = None
        self._header: bytes | None = None
        self.held: object = None
        """What lives as long as this checkpoint and its files do."""

    @classmethod
    def unpacked(
        cls,
        packed: Packed,
        tensors: tuple[TensorPlan, ...],
        limits: Limits,
        engine: Engine | None = None,
        matrices: MatrixCache | None = None,
    ) -> Checkpoint:
        """A checkpoint that was planned elsewhere.

        Args:
            packed: what `pack` made of it there.
            tensors: that came with it, in that order.
            limits: as above.
            engine: as above.
            matrices: as above.
        """
        self = cls.__new__(cls)
        self._hold(packed.identity, limits, engine, matrices)
        self.tensors = self.ordered = tensors
        self.config = packed.config
        self._beside = packed.beside
        self._layout, self._header = packed.lay_out(tensors), packed.header
        return self

    def pack(self) -> Packed:
        """Everything but the tensors, to be `unpacked` elsewhere beside `ordered`."""
        return Packed(
            identity=SpecIdentity.of(self.spec),
            config=self.config,
            beside=self._beside,
            count=len(self.ordered),
            of_layers=sum(tensor.origin is not None for tensor in self.ordered),
            order=order_of(self.ordered, self.whole.tensors),
            header=self.whole.header,
        )

    @cached_property
    def config(self) -> Mapping[str, Any] | None:
        """What the model's `config.json` says, if it has one, or one beside the weights."""
        return None if isinstance(self.spec, SpecIdentity) else self.spec.config

    @property
    def _model(self) -> Model | None:
        return None if isinstance(self.spec, SpecIdentity) else self.spec.built

    @property
    def _name_of_whole(self) -> str:
        """Loaders of adapters ask for their weights by another name than those of models."""
        beside = self._beside if isinstance(self.spec, SpecIdentity) else self.spec.files
        return ADAPTER_NAME if ADAPTER_CONFIG_NAME in beside else FILE_NAME

    @cached_property
    def whole(self) -> VirtualFile:
        """All tensors in one file, however large.

        Raises:
            LimitError: larger than any file may be.
        """
        return VirtualFile(
            self.spec,
            self._limits,
            self._engine,
            self._name_of_whole,
            self._matrices,
            self.tensors,
            layout=self._layout,
            header=self._header,
            held=self.held,
        )

    @cached_property
    def ordered(self) -> tuple[TensorPlan, ...]:
        """The tensors in the order in which they are put into shards."""
        model = self._model
        of_model = {tensor.name for tensor in model.parameters} if model else set()
        # Only a model has an order of its own; that in which a spec lists things has no meaning.
        return tuple(
            sorted(
                self.tensors,
                key=lambda tensor: (
                    b"" if (tensor.view_of or tensor.name) in of_model else tensor.name.encode()
                ),
            )
        )

    @cached_property
    def shards(self) -> Mapping[str, tuple[TensorPlan, ...]]:
        """The tensors of each weight file, by its name; one, unless they are too large for that.

        Raises:
            LimitError: there would be more files than a limit.
            SpecError: an adapter would be in several, which no loader reads.
        """
        parts = split_tensors(self.ordered, self.spec.max_shard_size)
        parts = parts or ((),)  # a layer may have no tensors
        self._limits.require("max_shards", len(parts), "shards")
        if len(parts) == 1:
            return {self._name_of_whole: parts[0]}
        if self._name_of_whole != FILE_NAME:
            raise SpecError(
                f"what has {ADAPTER_CONFIG_NAME} is an adapter, whose weights are one file; this "
                f"would be {len(parts):,}",
                ("max_shard_size",),
            )
        return dict(zip(shard_names(len(parts)), parts, strict=True))

    @property
    def is_sharded(self) -> bool:
        """Whether the weights are in several files."""
        return len(self.shards) > 1

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The files of the directory, sorted. The whole in one file is there if it is small enough.

        It can be read in any case.
        """
        index = [INDEX_NAME] if self.is_sharded else []
        return tuple(sorted([*self.shards, *index, *self._beside]))

    @cached_property
    def _named(self) -> frozenset[str]:
        return frozenset(self.names)

    def has(self, name: str) -> bool:
        """Whether one of `names` is this."""
        return name in self._named

    def file(self, name: str) -> File | None:
        """The file of this name: one of `names`, or the whole; `None` if there is none.

        Raises:
            LimitError: larger than a file may be.
        """
        if name in {FILE_NAME, self._name_of_whole}:
            return self.whole
        if not self.has(name):
            return None
        if (file := self._made.get(name)) is None:
            file = self._made[name] = self._make(name)
        return file

    def files(self) -> Iterator[File]:
        """All files of the directory."""
        for name in self.names:
            if (file := self.file(name)) is not None:
                yield file

    def _make(self, name: str) -> File:
        if name in self.shards:
            # The whole checkpoint's bytes do not depend on how it is cut up, those of a shard do.
            part = f"{self.spec.max_shard_size}"
            return VirtualFile(
                self.spec,
                self._limits,
                self._engine,
                name,
                self._matrices,
                self.shards[name],
                part,
                held=self.held,
            )
        if name == INDEX_NAME:
            return SmallFile(name, make_index(self.shards))
        return SmallFile(name, self._beside[name])

    @cached_property
    def _beside(self) -> Mapping[str, bytes]:
        """A card, what the model's library keeps beside the weights, and what the spec brings."""
        tensors = self.tensors
        if isinstance(self.spec, SpecIdentity):
            raise ValueError("what was planned elsewhere comes with its small files")  # noqa: TRY004
        card = make_card(
            self.spec,
            len(tensors),
            sum(tensor.elements for tensor in tensors),
            sum(tensor.size_bytes for tensor in tensors),
            sum(tensor.guessed for tensor in tensors),
        )
        files = {CARD_NAME: card}
        config, model = self.spec.config, self._model
        if model is not None:
            files |= model.files
            if model.generation_config is not None:
                files[GENERATION_NAME] = written(model.generation_config)
        files |= {name: written(content) for name, content in self.spec.files.items()}
        if config is not None:
            files[CONFIG_NAME] = written({**config, **self._stored_as(config)})
            files |= absent(config, files)
        return files

    def _stored_as(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a config.json of transformers says of how the weights are stored."""
        if isinstance(self.spec, SpecIdentity) or "model_type" not in config:
            return {}
        quantised = self.spec.quantization_config
        more = {} if quantised is None else {"quantization_config": quantised}
        return {"dtype": _TORCH_NAMES[self.spec.dtype], **more}
