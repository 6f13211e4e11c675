"""AES-128-CTR inside compiled code, by the processor's own AES instructions.

The same keystream as `aesctr`, eight or sixteen blocks at a time, written to where a kernel reads
it next: words never leave the first-level cache, and a whole chunk of a file is one call. Only for
x86-64 with AES-NI (with VAES, two or four blocks an instruction).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from seedbed.stream.aesctr import ROUNDS


def group_blocks(vector_blocks: int) -> int:
    """Blocks under way at a time, enough to hide the latency of a round."""
    return _in_flight(vector_blocks) * vector_blocks


def _in_flight(vector_blocks: int) -> int:
    return 8 if vector_blocks == 1 else 4


def encrypt_counters(vector_blocks: int) -> Any:
    """A function for compiled code that encrypts counters.

    Args:
        vector_blocks: blocks that one instruction encrypts, 1, 2 or 4. LLVM ends the process where
            the target lacks the instruction.

    Returns:
        f(round_keys, first_block, groups, words), which writes the encryptions of `groups` times
        `group_blocks` counters from `first_block` on to `words`. The counter is 128-bit
        big-endian; its upper half is 0, since no file has 2**64 blocks.
    """
    lanes = 2 * vector_blocks
    in_flight = _in_flight(vector_blocks)
    word64 = ir.IntType(64)
    vector = ir.VectorType(word64, lanes)
    width = "" if vector_blocks == 1 else f".{128 * vector_blocks}"

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        key_data, first_block, groups, words = arguments

        def declare(name: str, count: int) -> Any:
            kind = ir.FunctionType(vector, [vector] * count)
            return cgutils.get_or_insert_function(builder.module, kind, name)

        encrypt = declare(f"llvm.x86.aesni.aesenc{width}", 2)
        encrypt_last = declare(f"llvm.x86.aesni.aesenclast{width}", 2)
        swap = declare(f"llvm.bswap.v{lanes}i64", 1)

        def spread(low: Any, high: Any) -> Any:
            """Both halves of a block in every block of a vector."""
            value = ir.Constant(vector, ir.Undefined)
            for lane in range(lanes):
                half = high if lane % 2 else low
                value = builder.insert_element(value, half, ir.Constant(ir.IntType(32), lane))
            return value

        def round_key(number: int) -> Any:
            places = (ir.Constant(word64, 2 * number + half) for half in range(2))
            return spread(*(builder.load(builder.gep(key_data, [place])) for place in places))

        keys = [round_key(number) for number in range(ROUNDS + 1)]
        target = builder.bitcast(words, ir.PointerType(vector))
        steps = [
            ir.Constant(
                vector,
                [vector_blocks * number + lane // 2 if lane % 2 else 0 for lane in range(lanes)],
            )
            for number in range(in_flight)
        ]
        with cgutils.for_range(builder, groups, intp=word64) as loop:
            done = builder.mul(loop.index, ir.Constant(word64, in_flight * vector_blocks))
            base = spread(ir.Constant(word64, 0), builder.add(first_block, done))
            states = [builder.call(swap, [builder.add(base, step)]) for step in steps]
            states = [builder.xor(state, keys[0]) for state in states]
            for key in keys[1:-1]:
                states = [builder.call(encrypt, [state, key]) for state in states]
            states = [builder.call(encrypt_last, [state, keys[-1]]) for state in states]
            place = builder.mul(loop.index, ir.Constant(word64, in_flight))
            for number, state in enumerate(states):
                index = builder.add(place, ir.Constant(word64, number))
                builder.store(state, builder.gep(target, [index]), align=4)

    @intrinsic
    def function(
        _typing_context: Any, _round_keys: Any, _first_block: Any, _groups: Any, _words: Any
    ) -> Any:
        return types.void(
            types.CPointer(types.uint64), types.int64, types.int64, types.CPointer(types.uint32)
        ), lambda *arguments: (codegen(*arguments), arguments[0].get_dummy_value())[1]

    return function
