"""A small language for what a config implies: dimensions, conditions, standard deviations.

It is written as Python is, and parsed by Python's own parser, but nothing of it is executed by
Python: each expression becomes a tree of closures over the operations below and no others.

    num_attention_heads * head_dim            fields of the config, and of configs nested in it
    text_config.hidden_size // 2
    layer_types[i] == 'full_attention'        i, j, k: the indices in the tensor's name
    ceil(vocab_size, 64)                      rounded up to a multiple
    div(hidden_size, num_attention_heads)     a quotient without remainder, or an error
    divisible(width * expand_ratio, 8)        the nearest multiple, but no tenth less
    4 * n_embd if n_inner is None else n_inner
    -log(hc_mult - 1)                         natural

Integers are exact; `/`, `sqrt`, `log` and `exp` make floats. Every result is bounded, so that no
config can make an expression work long: an integer has at most 63 bits, an exponent is at most 8.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from seedbed.errors import ParameterError
from seedbed.stream import elementary

Scope = Mapping[str, Any]
Evaluator = Callable[[Scope], Any]

_MOST = 2**63 - 1


class Missing(ParameterError):
    """A field that an expression needs is not there, or is of another kind."""


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > _MOST:
        raise ParameterError(f"{value.bit_length()} bits are more than a dimension can have")
    return value


def _power(base: Any, exponent: Any) -> Any:
    if not isinstance(exponent, int) or not 0 <= exponent <= 8:
        raise ParameterError("an exponent is a whole number from 0 to 8")
    return base**exponent


def _ceil(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def _div(value: int, divisor: int) -> int:
    """A quotient that was exact wherever it was studied, so that it must be exact here."""
    if value % divisor:
        raise ParameterError(f"{value} is not a multiple of {divisor}")
    return value // divisor


def _divisible(value: float, divisor: int) -> int:
    """The nearest multiple, or the next if that would be a tenth less: as MobileNets count."""
    nearest: int = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


def _log(value: float) -> float:
    """The natural logarithm, the same on every machine."""
    if not 0 < value < math.inf:
        raise ParameterError(f"{value} has no logarithm")
    return float(elementary.log(np.array([value], np.float64))[0])


def _exp(value: float) -> float:
    """The exponential, the same on every machine."""
    if not abs(value) <= 700:
        raise ParameterError(f"exp({value}) is no number")
    return float(elementary.exp(np.array([value], np.float64))[0])


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: _power,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "ceil": _ceil,
    "sqrt": math.sqrt,
    "div": _div,
    "divisible": _divisible,
    "exp": _exp,
    "len": len,
    "int": int,
    "log": _log,
    "sum": sum,
}


def _number(value: Any, node: ast.AST) -> Any:
    if isinstance(value, (int, float)):
        return value
    raise Missing(f"{ast.unparse(node)} is {value!r}: a number is needed", _place(node))


def _place(node: ast.AST) -> tuple[str | int, ...]:
    """The first field that a part of an expression names."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            return tuple(ast.unparse(part).split("."))
        if isinstance(part, ast.Name) and part.id not in _CALLS:
            return (part.id,)
    return ()


def place(text: str) -> tuple[str | int, ...]:
    """The first field that an expression names, as the path of an error; none if it names none."""
    return _place(ast.parse(text, mode="eval"))


def _build(node: ast.expr) -> Evaluator:
    """What evaluates a part of an expression."""
    if (kind := _KINDS.get(type(node))) is not None and (built := kind(node)) is not None:
        return built
    raise ValueError(f"no such expression: {ast.unparse(node)}")


def _constant(node: ast.Constant) -> Evaluator:
    value = node.value
    return lambda _: value


def _name(node: ast.Name) -> Evaluator:
    name = node.id

    def field(scope: Scope) -> Any:
        if name in scope:
            return scope[name]
        raise Missing(f"{name} is needed", (name,))

    return field


def _attribute(node: ast.Attribute) -> Evaluator:
    within, name = _build(node.value), node.attr

    def nested(scope: Scope) -> Any:
        level = within(scope)
        if isinstance(level, Mapping) and name in level:
            return level[name]
        raise Missing(f"{ast.unparse(node)} is needed", _place(node))

    return nested


def _subscript(node: ast.Subscript) -> Evaluator:
    inner, items, at = node.value, _build(node.value), _build(node.slice)

    def item(scope: Scope) -> Any:
        values, where = items(scope), at(scope)
        if not isinstance(values, Sequence):
            raise Missing(f"{ast.unparse(inner)} is {values!r}: a list is needed", _place(inner))
        if not isinstance(where, int) or not -len(values) <= where < len(values):
            raise Missing(f"{ast.unparse(inner)} has no item {where}", _place(inner))
        return values[where]

    return item


def _arithmetic(node: ast.BinOp) -> Evaluator | None:
    work = _BINARY.get(type(node.op))
    if work is None:
        return None
    left, right = _build(node.left), _build(node.right)
    divides = isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod))

    def binary(scope: Scope) -> Any:
        x, y = _number(left(scope), node.left), _number(right(scope), node.right)
        if divides and y == 0:
            raise ParameterError(f"{ast.unparse(node.right)} is 0", _place(node.right))
        try:
            return _bounded(work(x, y))
        except OverflowError:  # of floats
            raise ParameterError(
                f"{ast.unparse(node)} is more than a number can be", _place(node)
            ) from None

    return binary


def _unary(node: ast.UnaryOp) -> Evaluator | None:
    operand = _build(node.operand)
    match node.op:
        case ast.USub():
            return lambda scope: -_number(operand(scope), node.operand)
        case ast.Not():
            return lambda scope: not operand(scope)
    return None


def _logical(node: ast.BoolOp) -> Evaluator:
    terms = [_build(value) for value in node.values]
    combine = all if isinstance(node.op, ast.And) else any
    return lambda scope: combine(term(scope) for term in terms)


def _conditional(node: ast.IfExp) -> Evaluator:
    which, yes, no = _build(node.test), _build(node.body), _build(node.orelse)
    return lambda scope: yes(scope) if which(scope) else no(scope)


def _comparison(node: ast.Compare) -> Evaluator | None:
    holds = _COMPARE.get(type(node.ops[0]))
    if holds is None or len(node.ops) > 1:
        return None
    left, right = _build(node.left), _build(node.comparators[0])

    def compare(scope: Scope) -> Any:
        x, y = left(scope), right(scope)
        try:
            return holds(x, y)
        except TypeError:
            raise Missing(
                f"{ast.unparse(node)}: {x!r} and {y!r} cannot be compared", _place(node)
            ) from None

    return compare


def _list(node: ast.Tuple | ast.List) -> Evaluator:
    parts = [_build(element) for element in node.elts]
    return lambda scope: [part(scope) for part in parts]


def _call(node: ast.Call) -> Evaluator | None:
    if not isinstance(node.func, ast.Name) or node.func.id not in _CALLS or node.keywords:
        return None
    function, arguments = _CALLS[node.func.id], [_build(argument) for argument in node.args]

    def call(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        try:
            return _bounded(function(*values))
        except ParameterError as error:
            raise ParameterError(error.message, _place(node)) from None
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            raise Missing(f"{ast.unparse(node)} has no value for {values}", _place(node)) from None

    return call


_KINDS: Mapping[type[ast.expr], Callable[[Any], Evaluator | None]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.BinOp: _arithmetic,
    ast.UnaryOp: _unary,
    ast.BoolOp: _logical,
    ast.IfExp: _conditional,
    ast.Compare: _comparison,
    ast.Tuple: _list,
    ast.List: _list,
    ast.Call: _call,
}
"""What builds each kind of node: an evaluator, or none where the language has no such thing."""


@lru_cache(maxsize=8192)
def compile_expression(text: str) -> Evaluator:
    """What evaluates an expression in a scope of fields and indices.

    Raises:
        ValueError: the text is not an expression of this language.
    """
    try:
        return _build(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"no such expression: {text}") from error


def evaluate(text: str, scope: Scope) -> Any:
    """The value of an expression.

    Raises:
        Missing: a field that it needs is absent or of another kind.
        ParameterError: a number is out of bounds, or divides by nothing.
    """
    return compile_expression(text)(scope)
