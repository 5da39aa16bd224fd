"""Every question's answer, worked out again from the words of the question."""

import math
import random
import re
from fractions import Fraction

import pytest
import sympy

from contextpress.corpus import arithmetic

UNITS = dict.fromkeys(("metres", "grams", "seconds"), Fraction(1))
UNITS |= {"millimetres": Fraction(1, 1000), "centimetres": Fraction(1, 100), "kilometres": Fraction(1000)}
UNITS |= {"milligrams": Fraction(1, 1000), "kilograms": Fraction(1000), "tonnes": Fraction(10**6)}
UNITS |= {"minutes": Fraction(60), "hours": Fraction(3600), "days": Fraction(86400), "weeks": Fraction(604800)}


def numbers(text: str) -> list[Fraction]:
    return [Fraction(found) for found in re.findall(r"(?<![\w/])-?\d+(?:/\d+)?", text)]


def same(first: str, second: object) -> bool:
    return sympy.simplify(sympy.sympify(first) - second) == 0


def check(question: str, answer: str) -> bool:
    n = numbers(question)
    if "plus" in question:
        return n[0] + n[1] == Fraction(answer)
    if question.startswith("Take"):
        return n[1] - n[0] == Fraction(answer)
    if question.startswith(("Work out", "Evaluate")):
        expression = question.removeprefix("Work out ").removeprefix("Evaluate ").rstrip(".")
        return sympy.Rational(answer) == sympy.sympify(expression, rational=True)
    if "times" in question:
        return n[0] * n[1] == Fraction(answer)
    if question.startswith("Divide"):
        return n[0] / n[1] == Fraction(answer)
    if question.startswith("Solve"):
        equation, name = re.fullmatch(r"Solve (.*) for (\w)\.", question).groups()
        left, right = equation.split("=")
        return sympy.solve(sympy.Eq(sympy.sympify(left), sympy.sympify(right)), name) == [sympy.Integer(answer)]
    if question.startswith("Given"):
        first, second = re.fullmatch(r"Given (.*) and (.*), find x and y\.", question).groups()
        equations = [sympy.Eq(*map(sympy.sympify, text.split("="))) for text in (first, second)]
        solution = sympy.solve(equations, sympy.symbols("x y"))
        return answer == ", ".join(f"{name} = {value}" for name, value in sorted(solution.items(), key=str))
    if "common divisor" in question:
        return math.gcd(int(n[0]), int(n[1])) == int(answer)
    if "common multiple" in question:
        return int(sympy.ilcm(int(n[0]), int(n[1]))) == int(answer)
    if "remains" in question:
        return int(n[0]) % int(n[1]) == int(answer)
    if "prime number" in question:
        return answer == ("yes" if sympy.isprime(int(n[0])) else "no")
    if "product of primes" in question:
        factors = [int(factor) for factor in answer.split(" * ")]
        return math.prod(factors) == n[0] and all(map(sympy.isprime, factors)) and factors == sorted(factors)
    if question.startswith("Write"):
        return int(answer, int(n[1])) == n[0]
    if "decimal number" in question:
        digits, base = re.fullmatch(r"Which decimal number is (\w+) in base (\d+)\?", question).groups()
        return int(digits, int(base)) == int(answer)
    if "larger" in question:
        return max(n) == Fraction(answer)
    if "ascending" in question:
        return sorted(n) == numbers(answer)
    if "second smallest" in question:
        return sorted(n)[1] == Fraction(answer)
    if question.startswith("Differentiate"):
        text = re.fullmatch(r"Differentiate (.*) with respect to x\.", question)[1]
        return same(answer, sympy.diff(sympy.sympify(text), "x"))
    if question.startswith("Expand"):
        product = sympy.sympify(question.removeprefix("Expand ").rstrip("."))
        return same(answer, product) and "(" not in answer
    if question.startswith("Let f"):
        text, place = re.fullmatch(r"Let f\(x\) = (.*)\. What is f\((-?\d+)\)\?", question).groups()
        return sympy.sympify(text).subs("x", int(place)) == int(answer)
    if question.startswith("How many"):
        wanted, count, given = re.fullmatch(r"How many (\w+) are (\d+) (\w+)\?", question).groups()
        return int(count) * UNITS[given] / UNITS[wanted] == int(answer)
    if question.startswith("A bag"):
        return chance_of(question) == Fraction(answer)
    if question.startswith("What comes next"):
        values = [int(value) for value in n]
        x = sympy.symbols("x")
        return sympy.interpolate(values[:3], x).subs(x, 6) == int(answer) == sympy.interpolate(values, x).subs(x, 6)
    raise AssertionError(f"no check for {question!r}")


def chance_of(question: str) -> Fraction:
    """By counting all draws of numbered balls."""
    balls = [colour for count, colour in re.findall(r"(\d+) (\w+)", question.split(".")[0]) for _ in range(int(count))]
    if found := re.search(r"that it is (\w+)\?", question):
        return Fraction(sum(ball == found[1] for ball in balls), len(balls))
    if found := re.search(r"that both are (\w+)\?", question):
        wanted = (found[1], found[1])
    else:
        wanted = re.search(r"of (\w+), then (\w+)\?", question).groups()
    draws = [(a, b) for i, a in enumerate(balls) for j, b in enumerate(balls) if i != j]
    return Fraction(sum(draw == wanted for draw in draws), len(draws))


@pytest.mark.parametrize("family", sorted(arithmetic.FAMILIES))
def test_answers_are_right(family: str) -> None:
    chance = random.Random(family)
    for _ in range(40):
        question, answer = arithmetic.FAMILIES[family](chance)
        assert check(question, answer), (question, answer)


def test_there_are_enough_families() -> None:
    assert len(arithmetic.FAMILIES) >= 8


def test_documents_are_a_function_of_the_seed() -> None:
    first, again = (list(arithmetic.documents(30_000, 1000, 7)) for _ in range(2))
    other = list(arithmetic.documents(30_000, 1000, 8))
    assert first == again
    assert not {document.text for document in first} & {document.text for document in other}
    assert 25_000 < sum(len(document.text) for document in first) <= 30_000
    assert all(len(document.text) <= 1000 for document in first)
    assert {document.source.split("/")[1] for document in first} == set(arithmetic.FAMILIES)
    assert all(line[:3] in ("Q: ", "A: ") for document in first for line in document.text.split("\n"))
