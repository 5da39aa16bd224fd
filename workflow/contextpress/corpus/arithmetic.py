"""Questions of arithmetic with their answers, in the manner of DM Mathematics (Saxton et al., arXiv 1904.01557).

Own wording, correct answers, deterministic by seed. A document holds questions of one family, one per pair of lines.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction

from contextpress.corpus.cutting import Document

Question = tuple[str, str]  # what is asked, the answer


def documents(characters: int, document_characters: int, seed: int) -> Iterator[Document]:
    """Documents of about ``document_characters`` characters, ``characters`` in all."""
    names = sorted(FAMILIES)
    total = 0
    for number in range(-(-characters // document_characters)):
        family = names[number % len(names)]
        source = f"arithmetic/{family}/{number:06d}"
        # A string seeds through SHA-512: the same numbers on every machine, whatever the hash seed.
        text = _text(FAMILIES[family], random.Random(f"{source} {seed}"), document_characters)
        total += len(text)
        if total > characters:
            return
        yield Document(source, text)


def _text(family: Callable[[random.Random], Question], chance: random.Random, characters: int) -> str:
    lines: list[str] = []
    room = characters
    while True:
        question, answer = family(chance)
        pair = f"Q: {question}\nA: {answer}"
        room -= len(pair) + 1
        if room < 0 and lines:
            return "\n".join(lines)
        lines.append(pair)


def _sum_or_difference(chance: random.Random) -> Question:
    size = 10 ** chance.randint(1, 6)
    first, second = chance.randint(-size, size), chance.randint(-size, size)
    return chance.choice(
        [
            (f"What is {first} plus {second}?", f"{first + second}"),
            (f"Take {second} away from {first}.", f"{first - second}"),
            (f"Work out {first} {_signed(second)}.", f"{first + second}"),
        ]
    )


def _product_or_quotient(chance: random.Random) -> Question:
    first, second = _nonzero(chance, 10 ** chance.randint(1, 4)), _nonzero(chance, 10 ** chance.randint(1, 2))
    return chance.choice(
        [
            (f"What is {first} times {second}?", f"{first * second}"),
            (f"Divide {first * second} by {second}.", f"{first}"),
            (f"Divide {first} by {second} and give a fraction in lowest terms.", f"{Fraction(first, second)}"),
        ]
    )


def _mixed_expression(chance: random.Random) -> Question:
    text, value = _expression(chance, chance.randint(2, 4))
    return f"Evaluate {text}.", str(value)


def _expression(chance: random.Random, leaves: int) -> tuple[str, Fraction]:
    if leaves == 1:
        number = chance.randint(1, 20)
        return str(number), Fraction(number)
    left = chance.randint(1, leaves - 1)
    (first, a), (second, b) = _expression(chance, left), _expression(chance, leaves - left)
    sign = chance.choice("+-*/" if b else "+-*")
    first = f"({first})" if left > 1 else first
    second = f"({second})" if leaves - left > 1 else second
    value = {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b
    return f"{first} {sign} {second}", value


def _linear_equation(chance: random.Random) -> Question:
    name = chance.choice("abcdkmnpqrstuvwxyz")
    solution, factor, other = chance.randint(-40, 40), _nonzero(chance, 30), chance.randint(-30, 30)
    if other == factor:
        other = -factor
    left = chance.randint(-200, 200)
    right = (factor - other) * solution + left
    return f"Solve {_term(factor, name)} {_signed(left)} = {_terms([(other, name), (right, '')])} for {name}.", str(
        solution
    )


def _linear_system(chance: random.Random) -> Question:
    x, y = chance.randint(-20, 20), chance.randint(-20, 20)
    a, b = _nonzero(chance, 9), _nonzero(chance, 9)
    c, d = _nonzero(chance, 9), _nonzero(chance, 9)
    while a * d == b * c:
        c, d = _nonzero(chance, 9), _nonzero(chance, 9)
    first = f"{_terms([(a, 'x'), (b, 'y')])} = {a * x + b * y}"
    second = f"{_terms([(c, 'x'), (d, 'y')])} = {c * x + d * y}"
    return f"Given {first} and {second}, find x and y.", f"x = {x}, y = {y}"


def _divisors(chance: random.Random) -> Question:
    shared = chance.randint(1, 40)
    first, second = shared * chance.randint(1, 60), shared * chance.randint(1, 60)
    return chance.choice(
        [
            (f"What is the greatest common divisor of {first} and {second}?", f"{math.gcd(first, second)}"),
            (f"What is the least common multiple of {first} and {second}?", f"{math.lcm(first, second)}"),
            (f"What remains when {first * 7 + second} is divided by {second}?", f"{(first * 7 + second) % second}"),
        ]
    )


def _primes(chance: random.Random) -> Question:
    number = chance.randint(2, 10 ** chance.randint(1, 4))
    factors = prime_factors(number)
    return chance.choice(
        [
            (f"Is {number} a prime number?", "yes" if len(factors) == 1 else "no"),
            (f"Write {number} as a product of primes.", " * ".join(map(str, factors))),
        ]
    )


def prime_factors(number: int) -> list[int]:
    """Prime factors of a number of 2 or more, ascending, repeated as often as they divide it."""
    factors: list[int] = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


def _bases(chance: random.Random) -> Question:
    number, base = chance.randint(0, 10 ** chance.randint(1, 5)), chance.randint(2, 16)
    digits = in_base(number, base)
    return chance.choice(
        [
            (f"Write {number} in base {base}.", digits),
            (f"Which decimal number is {digits} in base {base}?", str(number)),
        ]
    )


def in_base(number: int, base: int) -> str:
    """A number of 0 or more in base 2 to 16, digits above nine as a to f."""
    digits = ""
    while number:
        digits = "0123456789abcdef"[number % base] + digits
        number //= base
    return digits or "0"


def _comparison(chance: random.Random) -> Question:
    numbers: list[Fraction] = []
    while len(numbers) < 4:
        value = Fraction(_nonzero(chance, 99), chance.choice([1, 1, 1, 2, 3, 5, 7, 9]))
        if value not in numbers:
            numbers.append(value)
    shown, ordered = ", ".join(map(str, numbers)), sorted(numbers)
    first, second = numbers[:2]
    return chance.choice(
        [
            (f"Which is larger, {first} or {second}?", str(max(first, second))),
            (f"Put {shown} in ascending order.", ", ".join(map(str, ordered))),
            (f"What is the second smallest of {shown}?", str(ordered[1])),
        ]
    )


def _derivative(chance: random.Random) -> Question:
    factors = _polynomial(chance, chance.randint(1, 4))
    slope = [power * factor for power, factor in enumerate(factors)][1:]
    return f"Differentiate {polynomial(factors)} with respect to x.", polynomial(slope)


def _expansion(chance: random.Random) -> Question:
    first, second = _polynomial(chance, 1), _polynomial(chance, chance.randint(1, 2))
    product = [0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            product[i + j] += a * b
    return f"Expand ({polynomial(first)})*({polynomial(second)}).", polynomial(product)


def _polynomial_value(chance: random.Random) -> Question:
    factors, place = _polynomial(chance, chance.randint(1, 3)), chance.randint(-9, 9)
    value = sum(factor * place**power for power, factor in enumerate(factors))
    return f"Let f(x) = {polynomial(factors)}. What is f({place})?", str(value)


_UNITS = {
    "length": {"millimetres": 1, "centimetres": 10, "metres": 1_000, "kilometres": 1_000_000},
    "mass": {"milligrams": 1, "grams": 1_000, "kilograms": 1_000_000, "tonnes": 1_000_000_000},
    "time": {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800},
}


def _measurement(chance: random.Random) -> Question:
    units = _UNITS[chance.choice(sorted(_UNITS))]
    small, large = sorted(chance.sample(sorted(units), 2), key=units.__getitem__)
    ratio, count = units[large] // units[small], chance.randint(1, 400)
    return chance.choice(
        [
            (f"How many {small} are {count} {large}?", str(count * ratio)),
            (f"How many {large} are {count * ratio} {small}?", str(count)),
        ]
    )


_COLOURS = ("red", "blue", "green", "black", "white", "yellow")


def _probability(chance: random.Random) -> Question:
    first, second, third = chance.sample(_COLOURS, 3)
    a, b, c = (chance.randint(1, 12) for _ in range(3))
    bag, total = f"A bag holds {a} {first}, {b} {second} and {c} {third} balls.", a + b + c
    return chance.choice(
        [
            (f"{bag} One is drawn. What is the probability that it is {first}?", str(Fraction(a, total))),
            (
                f"{bag} Two are drawn without return. What is the probability that both are {second}?",
                str(Fraction(b * (b - 1), total * (total - 1))),
            ),
            (
                f"{bag} Two are drawn without return. What is the probability of {first}, then {third}?",
                str(Fraction(a * c, total * (total - 1))),
            ),
        ]
    )


def _sequence(chance: random.Random) -> Question:
    start, step, bend = chance.randint(-50, 50), _nonzero(chance, 20), chance.choice([0, 0, 1, 2, -1, -2])
    values = [start + step * n + bend * n * n for n in range(6)]
    return f"What comes next: {', '.join(map(str, values[:5]))}?", str(values[5])


def polynomial(factors: list[int]) -> str:
    """A polynomial in x from its factors, constant first: [3, 0, -2] is -2*x**2 + 3."""
    names = ["", "x", *(f"x**{power}" for power in range(2, len(factors)))]
    return _terms([(factor, name) for factor, name in zip(factors, names, strict=False)][::-1])


def _terms(terms: list[tuple[int, str]]) -> str:
    shown = ""
    for factor, name in terms:
        if factor:
            term = _term(abs(factor), name)
            shown = f"{shown} {'-' if factor < 0 else '+'} {term}" if shown else _term(factor, name)
    return shown or "0"


def _term(factor: int, name: str) -> str:
    if not name:
        return str(factor)
    return {1: name, -1: f"-{name}"}.get(factor, f"{factor}*{name}")


def _signed(number: int) -> str:
    return f"- {-number}" if number < 0 else f"+ {number}"


def _nonzero(chance: random.Random, size: int) -> int:
    return chance.choice([-1, 1]) * chance.randint(1, size)


def _polynomial(chance: random.Random, degree: int) -> list[int]:
    return [*(chance.randint(-9, 9) for _ in range(degree)), _nonzero(chance, 9)]


FAMILIES: dict[str, Callable[[random.Random], Question]] = {
    "sum_or_difference": _sum_or_difference,
    "product_or_quotient": _product_or_quotient,
    "mixed_expression": _mixed_expression,
    "linear_equation": _linear_equation,
    "linear_system": _linear_system,
    "divisors": _divisors,
    "primes": _primes,
    "bases": _bases,
    "comparison": _comparison,
    "derivative": _derivative,
    "expansion": _expansion,
    "polynomial_value": _polynomial_value,
    "measurement": _measurement,
    "probability": _probability,
    "sequence": _sequence,
}
