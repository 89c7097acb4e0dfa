"""Durations, and the expressions of Upstash-Retry-Delay."""

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

_DURATION: Final = re.compile(r"(?:\d+[dhms])+")
_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MAX_LENGTH: Final = 256  # characters of an expression

_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {
    "pow": math.pow,
    "sqrt": math.sqrt,
    "abs": abs,
    "exp": math.exp,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "min": min,
    "max": max,
}
_OPERATORS: Final[dict[type[ast.AST], Callable[..., float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: ``10s``, ``1h30m``, or a number of seconds.

    Raises:
        ValueError: the text is no duration.
    """
    compact = text.strip().replace(" ", "")
    if compact.isdecimal():
        return float(compact)
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"invalid duration {text!r}: write, for example, 10s, 5m, 2h or 1d")
    return float(sum(int(part[:-1]) * _SECONDS[part[-1]] for part in re.findall(r"\d+.", compact)))


def evaluate_retry_delay(expression: str, retried: int) -> float:
    """Return the seconds of an Upstash-Retry-Delay, whose result is in milliseconds.

    Raises:
        ValueError: the expression is invalid.
    """
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"a retry delay must not be longer than {_MAX_LENGTH} characters")
    try:
        result = _evaluate(ast.parse(expression.strip(), mode="eval").body, retried)
        milliseconds = max(0, int(result))  # raises OverflowError for infinity
    except (SyntaxError, TypeError, ArithmeticError, ValueError, RecursionError) as error:
        raise ValueError(f"invalid retry delay {expression!r}: {error}") from error
    return milliseconds / 1000


def _evaluate(node: ast.AST, retried: int) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id="retried"):
            return float(retried)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, retried), _evaluate(right, retried))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(operand, retried))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            values: list[Any] = [_evaluate(each, retried) for each in arguments]
            return float(_FUNCTIONS[name](*values))
    raise ValueError(f"{ast.unparse(node)} is not supported")
