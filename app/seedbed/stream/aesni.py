"""AES-128-CTR inside compiled code, by the processor's own AES instructions.

The same keystream as `aesctr`, eight or sixteen blocks at a time, written to where a kernel reads
it next: words never leave the first-level cache, and a whole chunk of a file is one call without
the GIL. Only for x86-64 with AES-NI (with VAES two or four blocks an instruction); elsewhere
`VECTOR_BLOCKS` is 0 and OpenSSL makes the keystream.

LLVM ends the process when it meets an instruction that its target lacks, so the features asked for
here are those that Numba compiles for, not those that the processor has.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

ROUNDS = 10
ROUND_KEY_BYTES = 16 * (ROUNDS + 1)


def _vector_blocks() -> int:
    """Blocks that one instruction encrypts: 4, 2, 1, or 0 where there is none."""
    _triple, _cpu, text = cpu_target.target_context.codegen().magic_tuple()
    features = set(text.split(","))
    if platform.machine().lower() not in ("x86_64", "amd64") or "+aes" not in features:
        return 0
    if {"+vaes", "+avx512f", "+avx512bw"} <= features:
        return 4
    return 2 if {"+vaes", "+avx2"} <= features else 1


VECTOR_BLOCKS = _vector_blocks()

_IN_FLIGHT = 8 if VECTOR_BLOCKS == 1 else 4
"""Vectors under way at a time, enough to hide the latency of a round."""

GROUP_BLOCKS = _IN_FLIGHT * max(VECTOR_BLOCKS, 1)
GROUP_WORDS = 4 * GROUP_BLOCKS

# FIPS 197, figure 7.
_S_BOX = np.frombuffer(
    bytes.fromhex(
        "637c777bf26b6fc53001672bfed7ab76ca82c97dfa5947f0add4a2af9ca472c0"
        "b7fd9326363ff7cc34a5e5f171d8311504c723c31896059a071280e2eb27b275"
        "09832c1a1b6e5aa0523bd6b329e32f8453d100ed20fcb15b6acbbe394a4c58cf"
        "d0efaafb434d338545f9027f503c9fa851a3408f929d38f5bcb6da2110fff3d2"
        "cd0c13ec5f974417c4a77e3d645d197360814fdc222a908846eeb814de5e0bdb"
        "e0323a0a4906245cc2d3ac629195e479e7c8376d8dd54ea96c56f4ea657aae08"
        "ba78252e1ca6b4c6e8dd741f4bbd8b8a703eb5664803f60e613557b986c11d9e"
        "e1f8981169d98e949b1e87e9ce5528df8ca1890dbfe6426841992d0fb054bb16"
    ),
    np.uint8,
)


def expand_key(key: bytes) -> NDArray[np.uint64]:
    """The eleven round keys of a 16-byte key, two integers each (FIPS 197 §5.2)."""
    words = list(key)
    constant = 1
    for i in range(16, ROUND_KEY_BYTES, 4):
        last = words[i - 4 : i]
        if i % 16 == 0:
            last = [int(_S_BOX[byte]) for byte in (*last[1:], last[0])]
            last[0] ^= constant
            constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
        words += [a ^ b for a, b in zip(last, words[i - 16 : i - 12], strict=True)]
    return np.frombuffer(bytearray(words), "<u8")


@intrinsic
def encrypt_counters(
    _typing_context: Any, round_keys: Any, first_block: Any, groups: Any, words: Any
) -> Any:
    """Write the encryptions of `groups` times `GROUP_BLOCKS` counters from `first_block` on.

    The counter is 128-bit big-endian; its upper half is 0, since no file has 2**64 blocks.
    `words` has room for `groups` times `GROUP_WORDS` words.
    """
    lanes = 2 * VECTOR_BLOCKS
    word64 = ir.IntType(64)
    vector = ir.VectorType(word64, lanes)
    width = "" if VECTOR_BLOCKS == 1 else f".{128 * VECTOR_BLOCKS}"

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(index: int, pointee: Any) -> Any:
            array = context.make_array(signature.args[index])(context, builder, arguments[index])
            return builder.bitcast(array.data, ir.PointerType(pointee))

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

        key_data = data(0, word64)

        def round_key(number: int) -> Any:
            low, high = (
                builder.load(builder.gep(key_data, [ir.Constant(word64, 2 * number + half)]))
                for half in range(2)
            )
            return spread(low, high)

        keys = [round_key(number) for number in range(ROUNDS + 1)]
        target = data(3, vector)
        zero = ir.Constant(word64, 0)
        steps = [
            ir.Constant(
                vector,
                [VECTOR_BLOCKS * number + lane // 2 if lane % 2 else 0 for lane in range(lanes)],
            )
            for number in range(_IN_FLIGHT)
        ]
        with cgutils.for_range(builder, arguments[2], intp=word64) as loop:
            offset = builder.mul(loop.index, ir.Constant(word64, GROUP_BLOCKS))
            base = spread(zero, builder.add(arguments[1], offset))
            states = [builder.call(swap, [builder.add(base, step)]) for step in steps]
            states = [builder.xor(state, keys[0]) for state in states]
            for key in keys[1:-1]:
                states = [builder.call(encrypt, [state, key]) for state in states]
            states = [builder.call(encrypt_last, [state, keys[-1]]) for state in states]
            place = builder.mul(loop.index, ir.Constant(word64, _IN_FLIGHT))
            for number, state in enumerate(states):
                index = builder.add(place, ir.Constant(word64, number))
                builder.store(state, builder.gep(target, [index]), align=4)
        return context.get_dummy_value()

    return types.void(round_keys, types.uint64, types.uint64, words), codegen
