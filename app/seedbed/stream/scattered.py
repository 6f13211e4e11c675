"""Draws of elements that lie apart in the stream, for a compiler; see `boxes`."""

from __future__ import annotations

from typing import Any

from seedbed.stream import aesni
from seedbed.stream.kernels import compiled, encode, pointer_at


@compiled
def begin_blocks(table: Any, origin: Any, run: Any, count: Any) -> Any:
    """Whether each run of a step begins with a block."""
    places = 0
    for i in range(0, count, run):
        places |= origin + table[i]
    return places & 3 == 0


def box_entry(vector_blocks: int) -> Any:
    """The function that fills with the elements of a box, of keystream that it makes itself.

    It goes by steps: some rows of the last of the axes that it counts, of so many elements each,
    whose distances from the first are in a table. Where the runs of a step are whole groups of
    blocks, as in most shards by columns, their encryptions are the words already.

    Arguments: kind, form, round keys, first element, rank, extents, strides, rows of a step,
    elements of a row, of a run (0 for none), table, parameters, constants of rounding, room for
    places along the axes, for blocks and where their words are wanted, for keystream, and for words
    and draws of a step, output.
    """
    encrypt_counters = aesni.encrypt_counters(vector_blocks)
    group_words = 4 * aesni.group_blocks(vector_blocks)
    words_of_runs, words_apart = _words_of_runs(vector_blocks), _words_apart(vector_blocks)

    def from_key(
        kind: Any, form: Any, source: Any, start: Any, rank: Any, extents: Any, strides: Any,
        rows: Any, width: Any, run: Any, table: Any, parameters: Any, narrow: Any, index: Any,
        blocks: Any, wanted: Any, keystream: Any, words: Any, values: Any, out: Any,
    ) -> None:  # fmt: skip
        last = rank - 1
        for axis in range(rank):
            index[axis] = 0
        origin, done, axis = start, 0, last
        while axis >= 0:
            step = min(rows, extents[last] - index[last])
            n = step * width
            drawn = words
            if run >= n:
                skip = origin & 3
                encrypt_counters(
                    source, origin >> 2, (skip + n + group_words - 1) // group_words, keystream
                )
                drawn = pointer_at(keystream, skip)
            elif run >= group_words and begin_blocks(table, origin, run, n):
                for i in range(0, n, run):  # what is too much of one, the next one writes over
                    block = (origin + table[i]) >> 2
                    groups = (run + group_words - 1) // group_words
                    encrypt_counters(source, block, groups, pointer_at(words, i))
            elif run >= group_words:
                for i in range(0, n, run):
                    first = origin + table[i]
                    skip = first & 3
                    groups = (skip + run + group_words - 1) // group_words
                    encrypt_counters(source, first >> 2, groups, keystream)
                    for j in range(run):
                        words[i + j] = keystream[skip + j]
            elif run:
                words_of_runs(source, origin, n, run, table, blocks, wanted, keystream, words)
            else:
                words_apart(source, origin, n, table, blocks, wanted, keystream, words)
            encode(kind, form, drawn, n, parameters, narrow, values, out, done)
            done += n
            axis, index[last], origin = last, index[last] + step, origin + step * strides[last]
            while axis >= 0 and index[axis] == extents[axis]:
                origin -= index[axis] * strides[axis]
                index[axis] = 0
                axis -= 1
                if axis >= 0:
                    index[axis] += 1
                    origin += strides[axis]

    return from_key


def _words_of_runs(vector_blocks: int) -> Any:
    """The function that fetches words of runs, elements that follow each other, a run together."""
    encrypt_blocks = aesni.encrypt_blocks(vector_blocks)
    group = aesni.group_blocks(vector_blocks)

    @compiled
    def words_of_runs(
        source: Any, origin: Any, n: Any, run: Any, table: Any, blocks: Any, wanted: Any,
        keystream: Any, words: Any,
    ) -> None:  # fmt: skip
        used = 0
        for i in range(0, n, run):
            count = min(run, n - i)
            first = origin + table[i]
            block = first >> 2
            there = ((first + count - 1) >> 2) - block + 1
            for j in range(there):
                blocks[used + j] = block + j
            wanted[i] = 4 * used + (first & 3)
            used += there
        encrypt_blocks(source, blocks, (used + group - 1) // group, keystream)
        for i in range(0, n, run):
            place = wanted[i]
            for j in range(min(run, n - i)):
                words[i + j] = keystream[place + j]

    return words_of_runs


def _words_apart(vector_blocks: int) -> Any:
    """The function that fetches words of which each lies in a block of its own."""
    encrypt_blocks = aesni.encrypt_blocks(vector_blocks)
    group = aesni.group_blocks(vector_blocks)

    @compiled
    def words_apart(
        source: Any, origin: Any, n: Any, table: Any, blocks: Any, wanted: Any, keystream: Any,
        words: Any,
    ) -> None:  # fmt: skip
        for i in range(n):
            element = origin + table[i]
            blocks[i] = element >> 2
            wanted[i] = 4 * i + (element & 3)
        encrypt_blocks(source, blocks, (n + group - 1) // group, keystream)
        for i in range(n):
            words[i] = keystream[wanted[i]]

    return words_apart
