"""AES-128-CTR inside compiled code, by the processor's own AES instructions.

The same keystream as `aesctr`, eight or sixteen blocks at a time, written to where a kernel reads
it next: words never leave the first-level cache, and a whole chunk of a file is one call. Only for
x86-64 with AES-NI (with VAES, two or four blocks an instruction).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from seedbed.stream.aesctr import ROUNDS

_WORD64 = ir.IntType(64)


def group_blocks(vector_blocks: int) -> int:
    """Blocks under way at a time, enough to hide the latency of a round."""
    return _in_flight(vector_blocks) * vector_blocks


def _in_flight(vector_blocks: int) -> int:
    return 8 if vector_blocks == 1 else 4


def encrypt_counters(vector_blocks: int) -> Any:
    """A function for compiled code that encrypts counters that follow each other.

    Args:
        vector_blocks: blocks that one instruction encrypts, 1, 2 or 4. LLVM ends the process where
            the target lacks the instruction.

    Returns:
        f(round_keys, first_block, groups, words), which writes the encryptions of `groups` times
        `group_blocks` counters from `first_block` on to `words`. The counter is 128-bit
        big-endian; its upper half is 0, since no file has 2**64 blocks.
    """
    lanes, in_flight = 2 * vector_blocks, _in_flight(vector_blocks)
    steps = [
        ir.Constant(
            ir.VectorType(_WORD64, lanes),
            [vector_blocks * number + lane // 2 if lane % 2 else 0 for lane in range(lanes)],
        )
        for number in range(in_flight)
    ]

    def counters(builder: Any, first_block: Any, done: Any) -> list[Any]:
        base = _spread(builder, lanes, ir.Constant(_WORD64, 0), builder.add(first_block, done))
        return [builder.add(base, step) for step in steps]

    @intrinsic
    def function(
        _typing_context: Any, _round_keys: Any, _first_block: Any, _groups: Any, _words: Any
    ) -> Any:
        return types.void(
            types.CPointer(types.uint64), types.int64, types.int64, types.CPointer(types.uint32)
        ), _encryption(vector_blocks, counters)

    return function


def encrypt_blocks(vector_blocks: int) -> Any:
    """A function for compiled code that encrypts any counters.

    Args:
        vector_blocks: as for `encrypt_counters`.

    Returns:
        f(round_keys, blocks, groups, words), which writes the encryptions of `groups` times
        `group_blocks` counters, 64-bit integers at `blocks`, to `words`.
    """
    few = ir.VectorType(_WORD64, vector_blocks)
    none = ir.Constant(few, [0] * vector_blocks)
    apart = ir.Constant(
        ir.VectorType(ir.IntType(32), 2 * vector_blocks),
        [place for block in range(vector_blocks) for place in (0, vector_blocks + block)],
    )

    def counters(builder: Any, blocks: Any, done: Any) -> list[Any]:
        loaded = []
        for number in range(_in_flight(vector_blocks)):
            index = builder.add(done, ir.Constant(_WORD64, number * vector_blocks))
            place = builder.bitcast(builder.gep(blocks, [index]), ir.PointerType(few))
            loaded.append(builder.shuffle_vector(none, builder.load(place, align=8), apart))
        return loaded

    @intrinsic
    def function(
        _typing_context: Any, _round_keys: Any, _blocks: Any, _groups: Any, _words: Any
    ) -> Any:
        return types.void(
            types.CPointer(types.uint64), types.CPointer(types.int64), types.int64,
            types.CPointer(types.uint32),
        ), _encryption(vector_blocks, counters)  # fmt: skip

    return function


def _spread(builder: Any, lanes: int, low: Any, high: Any) -> Any:
    """Both halves of a block in every block of a vector."""
    value = ir.Constant(ir.VectorType(_WORD64, lanes), ir.Undefined)
    for lane in range(lanes):
        half = high if lane % 2 else low
        value = builder.insert_element(value, half, ir.Constant(ir.IntType(32), lane))
    return value


def _encryption(vector_blocks: int, counters: Callable[[Any, Any, Any], list[Any]]) -> Any:
    """Code that encrypts group after group.

    Args:
        vector_blocks: blocks that one instruction encrypts.
        counters: gives the vectors of a group's counters, from the builder, what the caller's
            second argument says of them, and how many blocks are done.
    """
    lanes = 2 * vector_blocks
    in_flight = _in_flight(vector_blocks)
    vector = ir.VectorType(_WORD64, lanes)
    width = "" if vector_blocks == 1 else f".{128 * vector_blocks}"

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        key_data, which, groups, words = arguments

        def declare(name: str, count: int) -> Any:
            kind = ir.FunctionType(vector, [vector] * count)
            return cgutils.get_or_insert_function(builder.module, kind, name)

        encrypt = declare(f"llvm.x86.aesni.aesenc{width}", 2)
        encrypt_last = declare(f"llvm.x86.aesni.aesenclast{width}", 2)
        swap = declare(f"llvm.bswap.v{lanes}i64", 1)

        def round_key(number: int) -> Any:
            places = (ir.Constant(_WORD64, 2 * number + half) for half in range(2))
            low, high = (builder.load(builder.gep(key_data, [place])) for place in places)
            return _spread(builder, lanes, low, high)

        keys = [round_key(number) for number in range(ROUNDS + 1)]
        target = builder.bitcast(words, ir.PointerType(vector))
        with cgutils.for_range(builder, groups, intp=_WORD64) as loop:
            done = builder.mul(loop.index, ir.Constant(_WORD64, in_flight * vector_blocks))
            states = [builder.call(swap, [state]) for state in counters(builder, which, done)]
            states = [builder.xor(state, keys[0]) for state in states]
            for key in keys[1:-1]:
                states = [builder.call(encrypt, [state, key]) for state in states]
            states = [builder.call(encrypt_last, [state, keys[-1]]) for state in states]
            place = builder.mul(loop.index, ir.Constant(_WORD64, in_flight))
            for number, state in enumerate(states):
                index = builder.add(place, ir.Constant(_WORD64, number))
                builder.store(state, builder.gep(target, [index]), align=4)
        return context.get_dummy_value()

    return codegen
