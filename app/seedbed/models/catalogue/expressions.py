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

Integers are exact; `/` and `sqrt` make floats. Every result is bounded, so that no config can make
an expression work long: an integer has at most 63 bits, and an exponent is at most 8.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from seedbed.errors import ParameterError

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
    "len": len,
    "int": int,
    "sum": sum,
}


def _number(value: Any, node: ast.AST) -> Any:
    if isinstance(value, (int, float)):
        return value
    raise Missing(f"{ast.unparse(node)} is {value!r}: a number is needed", _place(node))


def _place(node: ast.AST) -> tuple[str | int, ...]:
    """The first field that a part of an expression names."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            return tuple(ast.unparse(one).split("."))
        if isinstance(one, ast.Name) and one.id not in _CALLS:
            return (one.id,)
    return ()


def place(text: str) -> tuple[str | int, ...]:
    """The first field that an expression names, as the path of an error; none if it names none."""
    return _place(ast.parse(text, mode="eval"))


def _build(node: ast.expr) -> Evaluator:  # noqa: C901, PLR0911, PLR0912, PLR0915 - one branch a kind of node
    match node:
        case ast.Constant(value=value):
            return lambda _: value
        case ast.Name(id=name):

            def field(scope: Scope) -> Any:
                if name in scope:
                    return scope[name]
                raise Missing(f"{name} is needed", (name,))

            return field
        case ast.Attribute(value=inner, attr=name):
            within = _build(inner)

            def nested(scope: Scope) -> Any:
                level = within(scope)
                if isinstance(level, Mapping) and name in level:
                    return level[name]
                raise Missing(f"{ast.unparse(node)} is needed", _place(node))

            return nested
        case ast.Subscript(value=inner, slice=index):
            items, at = _build(inner), _build(index)

            def item(scope: Scope) -> Any:
                values, where = items(scope), at(scope)
                if not isinstance(values, Sequence):
                    raise Missing(
                        f"{ast.unparse(inner)} is {values!r}: a list is needed", _place(inner)
                    )
                if not isinstance(where, int) or not -len(values) <= where < len(values):
                    raise Missing(f"{ast.unparse(inner)} has no item {where}", _place(inner))
                return values[where]

            return item
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            a, b, work = _build(left), _build(right), _BINARY[type(operator)]
            divides = isinstance(operator, (ast.Div, ast.FloorDiv, ast.Mod))

            def binary(scope: Scope) -> Any:
                x, y = _number(a(scope), left), _number(b(scope), right)
                if divides and y == 0:
                    raise ParameterError(f"{ast.unparse(right)} is 0", _place(right))
                try:
                    return _bounded(work(x, y))
                except OverflowError:  # of floats
                    raise ParameterError(
                        f"{ast.unparse(node)} is more than a number can be", _place(node)
                    ) from None

            return binary
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner_value = _build(operand)
            return lambda scope: -_number(inner_value(scope), operand)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _build(operand)
            return lambda scope: not truth(scope)
        case ast.BoolOp(op=ast.And(), values=values):
            terms = [_build(value) for value in values]
            return lambda scope: all(term(scope) for term in terms)
        case ast.BoolOp(op=ast.Or(), values=values):
            terms = [_build(value) for value in values]
            return lambda scope: any(term(scope) for term in terms)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            which, yes, no = _build(test), _build(body), _build(orelse)
            return lambda scope: yes(scope) if which(scope) else no(scope)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]) if (
            type(comparison) in _COMPARE
        ):
            a, b, holds = _build(left), _build(right), _COMPARE[type(comparison)]

            def compare(scope: Scope) -> Any:
                x, y = a(scope), b(scope)
                try:
                    return holds(x, y)
                except TypeError:
                    raise Missing(
                        f"{ast.unparse(node)}: {x!r} and {y!r} cannot be compared", _place(node)
                    ) from None

            return compare
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            parts = [_build(element) for element in elements]
            return lambda scope: [part(scope) for part in parts]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _CALLS:
            given, call = [_build(argument) for argument in arguments], _CALLS[name]

            def called(scope: Scope) -> Any:
                values = [one(scope) for one in given]
                try:
                    return _bounded(call(*values))
                except ParameterError as error:
                    raise ParameterError(error.message, _place(node)) from None
                except (TypeError, ValueError, ZeroDivisionError, OverflowError):
                    raise Missing(
                        f"{ast.unparse(node)} has no value for {values}", _place(node)
                    ) from None

            return called
    raise ValueError(f"no such expression: {ast.unparse(node)}")


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
