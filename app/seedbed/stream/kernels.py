"""The definitions of `distributions` and `dtypes` for a compiler: words → bytes.

Each function here has its counterpart in NumPy there, step for step, and must agree with it to the
byte (a property test holds them equal). `build` compiles this module with Numba; nothing else
imports it. Nothing may let the compiler change a result:

- no `fastmath`: reassociation and reciprocals round differently from one vector width to another;
- no fused multiply-add: it rounds once where the definition rounds twice, and only some machines
  have it. Without `fastmath` LLVM may not contract, so plain `*` and `+` stay two operations.

The normal map is two loops over a piece, in whose words levels take the place of what they are made
from: one chain through both is so long that a processor holds too few elements at a time.

Integers are cast back to 32 bits after every step, since Numba widens them to 64. Buffers are plain
pointers: nothing here can raise, so that the code needs neither Python nor Numba where it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from seedbed.stream import aesni
from seedbed.stream.compiled import (
    FLOAT32,
    FLOAT64,
    LEVELS_4,
    LEVELS_8,
    NARROW_4,
    NARROW_8,
    NARROW_16,
    NORMAL,
    PIECE_WORDS,
    TRUNCATED_NORMAL,
    UNIFORM,
    WHOLE_4,
    WHOLE_8,
)
from seedbed.stream.distributions import SQRT_HALF_BITS, A, B, C, E

_A0, _A1, _A2, _A3, _A4 = A
_B0, _B1, _B2, _B3, _B4 = B
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = C
_E0, _E1, _E2, _E3, _E4, _E5 = E

_F = np.float32
_U = np.uint32
_I = np.int32

compiled = njit(error_model="numpy", boundscheck=False)


@intrinsic
def bits_of(_typing_context: Any, value: Any) -> Any:
    """The bits of a float32 as uint32."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@intrinsic
def float_of(_typing_context: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@intrinsic
def shift_right(_typing_context: Any, bits: Any, count: Any) -> Any:
    """A 32-bit logical shift by less than 32; Numba's own `>>` would widen to 64 bits."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.lshr(*arguments)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def choose(_typing_context: Any, condition: Any, value: Any, other: Any) -> Any:
    """One of two numbers without a branch, which would keep a loop from being vectorised."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return value(types.boolean, value, value), codegen


@intrinsic
def shift_left(_typing_context: Any, bits: Any, count: Any) -> Any:
    """A 32-bit shift by less than 32."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.shl(*arguments)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def pointer_at(_typing_context: Any, pointer: Any, index: Any) -> Any:
    """A pointer so many elements further on."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), codegen


def _pointer_cast(element: Any) -> Any:
    """An intrinsic that reads a pointer to bytes as one to elements of another type."""

    @intrinsic
    def cast(_typing_context: Any, pointer: Any) -> Any:
        target = types.CPointer(element)

        def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(pointer), codegen

    return cast


as_float32 = _pointer_cast(types.float32)
as_float64 = _pointer_cast(types.float64)
as_uint8 = _pointer_cast(types.uint8)
as_uint16 = _pointer_cast(types.uint16)


@compiled
def symmetric_odd(word: Any) -> Any:
    odd = _I(_I(word >> _U(8)) * _I(2) - _I(0xFFFFFF))
    return _F(odd) * _F(2.0**-24)


@compiled
def signed_level(x: Any, sign: Any) -> Any:
    """The bits of L, the first half of `half_normal`, with a sign; L itself is never negative."""
    bits = _U(bits_of(x) - SQRT_HALF_BITS)
    exponent = _I(_I(bits) >> _I(23))
    u = float_of(_U(_U(bits & _U(0x7FFFFF)) + SQRT_HALF_BITS)) - _F(1.0)
    log = _C0
    log = log * u + _C1
    log = log * u + _C2
    log = log * u + _C3
    log = log * u + _C4
    log = log * u + _C5
    log = log * u + _C6
    log = log * u + _C7
    level = _F(_I(_I(31) - exponent)) + u * log
    return _U(bits_of(level) | sign)


@compiled
def signed_normal(bits: Any) -> Any:
    """The second half, ±L·A(L)/B(L), from the bits of a signed level.

    The sign goes through the product and the quotient, which round alike on both sides of 0.
    """
    level = float_of(_U(bits & _U(0x7FFFFFFF)))
    above = level + _A0
    above = above * level + _A1
    above = above * level + _A2
    above = above * level + _A3
    above = above * level + _A4
    below = level + _B0
    below = below * level + _B1
    below = below * level + _B2
    below = below * level + _B3
    below = below * level + _B4
    return float_of(bits) * above / below


@compiled
def clamp(value: Any, first: Any, last: Any) -> Any:
    raised = max(value, first)
    return min(raised, last)


@compiled
def uniform(word: Any, parameters: Any) -> Any:
    centre, half, first, last = parameters
    return clamp(half * symmetric_odd(word) + centre, first, last)


@compiled
def normal_level(word: Any) -> Any:
    """The two-sided map with both sides whole and nothing to clamp."""
    x = _F(_I(word & _U(0x7FFFFFFF))) + _F(0.5)
    return signed_level(x, _U(word & _U(0x80000000)))


@compiled
def truncated_level(word: Any, parameters: Any) -> Any:
    top, scale_up, offset_up, scale_down, offset_down = parameters
    down = word > top
    h = _U(_U(word - top) - _U(1)) if down else word
    scale = scale_down if down else scale_up
    offset = offset_down if down else offset_up
    x = (_F(h) + _F(0.5)) * scale + offset
    whole = _F(2.0**31)
    return signed_level(min(x, whole), _U(0x80000000) if down else _U(0))


@compiled
def log_uniform(word: Any, parameters: Any) -> Any:
    centre, half, first, last = parameters
    y = half * symmetric_odd(word)
    whole = np.rint(y)
    r = y - whole
    power = _E0
    power = power * r + _E1
    power = power * r + _E2
    power = power * r + _E3
    power = power * r + _E4
    power = power * r + _E5
    power = r * power + _F(1.0)
    octave = _U(_U(_I(whole)) << _U(23))
    return clamp(centre * float_of(_U(bits_of(power) + octave)), first, last)


@compiled
def round_bfloat16(value: Any) -> Any:
    bits = bits_of(value)
    odd = _U(shift_right(bits, _U(16)) & _U(1))
    return shift_right(_U(bits + _U(_U(0x7FFF) + odd)), _U(16))


@compiled
def round_narrow(value: Any, narrow: Any) -> Any:
    """All bits of the narrow float nearest to `value`; see `dtypes.round_narrow`."""
    shift, half, rebias, magic, smallest_normal, sign_shift = narrow
    bits = bits_of(value)
    magnitude = _U(bits & _U(0x7FFFFFFF))
    odd = _U(shift_right(magnitude, shift) & _U(1))
    normal = _U(shift_right(_U(magnitude + _U(half + odd)), shift) - rebias)
    shifted = float_of(magnitude) + float_of(magic)
    subnormal = _U(bits_of(shifted) - magic)
    rounded = subnormal if magnitude < smallest_normal else normal
    return _U(rounded | shift_right(_U(bits & _U(0x80000000)), sign_shift))


@compiled
def four_floats(p: Any) -> Any:
    return float_of(p[0]), float_of(p[1]), float_of(p[2]), float_of(p[3])


@compiled
def draw_uniform(words: Any, p: Any, count: Any, out: Any) -> None:
    parameters = four_floats(p)
    for i in range(count):
        out[i] = uniform(words[i], parameters)


@compiled
def draw_normal(words: Any, p: Any, count: Any, out: Any) -> None:
    centre, spread = float_of(p[5]), float_of(p[6])
    for i in range(count):
        words[i] = normal_level(words[i])
    for i in range(count):
        out[i] = spread * signed_normal(words[i]) + centre


@compiled
def draw_truncated_normal(words: Any, p: Any, count: Any, out: Any) -> None:
    sides = p[0], float_of(p[1]), float_of(p[2]), float_of(p[3]), float_of(p[4])
    centre, spread, first, last = float_of(p[5]), float_of(p[6]), float_of(p[7]), float_of(p[8])
    for i in range(count):
        words[i] = truncated_level(words[i], sides)
    for i in range(count):
        out[i] = clamp(spread * signed_normal(words[i]) + centre, first, last)


@compiled
def draw_log_uniform(words: Any, p: Any, count: Any, out: Any) -> None:
    parameters = four_floats(p)
    for i in range(count):
        out[i] = log_uniform(words[i], parameters)


@compiled
def draw(kind: Any, words: Any, parameters: Any, count: Any, out: Any) -> None:
    if kind == UNIFORM:
        draw_uniform(words, parameters, count, out)
    elif kind == NORMAL:
        draw_normal(words, parameters, count, out)
    elif kind == TRUNCATED_NORMAL:
        draw_truncated_normal(words, parameters, count, out)
    else:
        draw_log_uniform(words, parameters, count, out)


@compiled
def widen(values: Any, count: Any, out: Any) -> None:
    for i in range(count):
        out[i] = values[i]


@compiled
def encode_bfloat16(values: Any, count: Any, out: Any) -> None:
    for i in range(count):
        out[i] = round_bfloat16(values[i])


@compiled
def encode_narrow(values: Any, narrow: Any, count: Any, out: Any) -> None:
    constants = narrow[0], narrow[1], narrow[2], narrow[3], narrow[4], narrow[5]
    for i in range(count):
        out[i] = round_narrow(values[i], constants)


@compiled
def encode_narrow_codes(values: Any, narrow: Any, count: Any, out: Any) -> None:
    """The same of draws ÷ the scale of codes."""
    constants = narrow[0], narrow[1], narrow[2], narrow[3], narrow[4], narrow[5]
    scale = float_of(narrow[6])
    for i in range(count):
        out[i] = round_narrow(values[i] / scale, constants)


@compiled
def encode_whole(values: Any, narrow: Any, count: Any, out: Any) -> None:
    """`scaled.Whole`: the sum's lowest bits are the nearest whole number, ties to even."""
    magic = _F(3.0 * 2.0**22)
    zero = narrow[0]
    scale = float_of(narrow[6])
    for i in range(count):
        out[i] = np.uint8(_U(_U(bits_of(values[i] / scale + magic)) + zero))


@compiled
def encode_levels(values: Any, narrow: Any, count: Any, out: Any) -> None:
    """`scaled.Levels` of 16 at most: by four middles, each of which is half way of what is left."""
    scale = float_of(narrow[6])
    m, codes = pointer_at(as_float32(narrow), 8), pointer_at(narrow, 23)
    m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
    m8, m9, m10, m11, m12, m13, m14 = m[8], m[9], m[10], m[11], m[12], m[13], m[14]
    none, one, two, four, eight = _U(0), _U(1), _U(2), _U(4), _U(8)
    for i in range(count):
        x = values[i] / scale
        third = x > m7
        second = x > choose(third, m11, m3)
        first = x > choose(second, choose(third, m13, m5), choose(third, m9, m1))
        low = choose(second, choose(third, m12, m4), choose(third, m8, m0))
        high = choose(second, choose(third, m14, m6), choose(third, m10, m2))
        last = x > choose(first, high, low)
        below = _U(choose(third, eight, none) | choose(second, four, none))
        below = _U(_U(below | choose(first, two, none)) | choose(last, one, none))
        out[i] = np.uint8(below)
    moved = False
    for k in range(16):
        moved = moved or codes[k] != k
    if moved:
        for i in range(count):
            out[i] = np.uint8(codes[out[i]])


@compiled
def pair(codes: Any, narrow: Any, count: Any, out: Any) -> None:
    """Codes of 4 bits, two to a byte, `count` bytes: the first in the half that is said."""
    both = as_uint16(codes)
    if narrow[7]:
        for i in range(count):
            out[i] = np.uint8(_U(_U(both[i]) << _U(4)) | shift_right(_U(both[i]), _U(8)))
    else:
        for i in range(count):
            out[i] = np.uint8(_U(both[i]) | shift_right(_U(both[i]), _U(4)))


def weave(
    codes: Any, groups: Any, columns: Any, slots: Any, bits: Any, rows: Any, pitch: Any, out: Any
) -> None:
    """`scaled.weave`: words of the codes that stand above each other in some rows of a group.

    Groups of words are `pitch` apart.
    """
    for group in range(groups):
        own = pointer_at(codes, group * slots * columns)
        words = pointer_at(out, group * pitch)
        if slots == 8 and bits == 4:
            weave_eight(own, columns, rows, words)
            continue
        first = pointer_at(own, rows[0] * columns)
        for i in range(columns):
            words[i] = _U(first[i])
        for slot in range(1, slots):
            row = pointer_at(own, rows[slot] * columns)
            up = _U(bits * slot)
            for i in range(columns):
                words[i] = _U(words[i] | shift_left(_U(row[i]), up))


@compiled
def weave_eight(codes: Any, columns: Any, rows: Any, out: Any) -> None:
    """A group of eight codes of four bits, which is what there is most of."""
    a, b = pointer_at(codes, rows[0] * columns), pointer_at(codes, rows[1] * columns)
    c, d = pointer_at(codes, rows[2] * columns), pointer_at(codes, rows[3] * columns)
    e, f = pointer_at(codes, rows[4] * columns), pointer_at(codes, rows[5] * columns)
    g, h = pointer_at(codes, rows[6] * columns), pointer_at(codes, rows[7] * columns)
    for i in range(columns):
        low = _U(_U(a[i]) | shift_left(_U(b[i]), _U(4)))
        low = _U(low | _U(shift_left(_U(c[i]), _U(8)) | shift_left(_U(d[i]), _U(12))))
        high = _U(shift_left(_U(e[i]), _U(16)) | shift_left(_U(f[i]), _U(20)))
        high = _U(high | _U(shift_left(_U(g[i]), _U(24)) | shift_left(_U(h[i]), _U(28))))
        out[i] = _U(low | high)


@compiled
def encode(
    kind: Any, form: Any, words: Any, count: Any, parameters: Any, narrow: Any, values: Any,
    out: Any, place: Any,
) -> None:  # fmt: skip
    """Elements of `words`, from element `place` of `out` on; `values` is room for their draws.

    Where two codes share a byte, `count` and `place` are even, and `words` becomes room for codes.
    """
    if form == FLOAT32:
        draw(kind, words, parameters, count, pointer_at(as_float32(out), place))
        return
    draw(kind, words, parameters, count, values)
    codes = as_uint8(words)
    if form == FLOAT64:
        widen(values, count, pointer_at(as_float64(out), place))
    elif form == NARROW_16:
        encode_narrow(values, narrow, count, pointer_at(as_uint16(out), place))
    elif form == NARROW_8:
        if narrow[6]:
            encode_narrow_codes(values, narrow, count, pointer_at(out, place))
        else:
            encode_narrow(values, narrow, count, pointer_at(out, place))
    elif form == WHOLE_8:
        encode_whole(values, narrow, count, pointer_at(out, place))
    elif form == LEVELS_8:
        encode_levels(values, narrow, count, pointer_at(out, place))
    elif form == NARROW_4:
        encode_narrow_codes(values, narrow, count, codes)
    elif form == WHOLE_4:
        encode_whole(values, narrow, count, codes)
    elif form == LEVELS_4:
        encode_levels(values, narrow, count, codes)
    else:
        encode_bfloat16(values, count, pointer_at(as_uint16(out), place))
    if form >= NARROW_4:
        pair(codes, narrow, count >> 1, pointer_at(out, place >> 1))


def fill_entry(vector_blocks: int) -> Any:
    """The function that fills: with the keystream of round keys, or (0) with words handed to it.

    Arguments: kind, form, round keys or words, first element, count of elements, parameters,
    constants of rounding, room for words and for draws of one piece, output.
    """
    if not vector_blocks:

        def from_words(
            kind: Any, form: Any, source: Any, start: Any, count: Any, parameters: Any,
            narrow: Any, _words: Any, values: Any, out: Any,
        ) -> None:  # fmt: skip
            for done in range(0, count, PIECE_WORDS):
                n = min(PIECE_WORDS, count - done)
                words = pointer_at(source, start + done)
                encode(kind, form, words, n, parameters, narrow, values, out, done)

        return from_words

    encrypt_counters = aesni.encrypt_counters(vector_blocks)
    group_words = 4 * aesni.group_blocks(vector_blocks)

    def from_key(
        kind: Any, form: Any, source: Any, start: Any, count: Any, parameters: Any,
        narrow: Any, words: Any, values: Any, out: Any,
    ) -> None:  # fmt: skip
        done = 0
        while done < count:
            first = start + done
            skip = first & 3
            n = min(PIECE_WORDS - skip, count - done)
            if form >= NARROW_4:  # whole bytes, of which the first may begin within a block
                n &= -2
            groups = (skip + n + group_words - 1) // group_words
            encrypt_counters(source, first >> 2, groups, words)
            encode(kind, form, pointer_at(words, skip), n, parameters, narrow, values, out, done)
            done += n

    return from_key
