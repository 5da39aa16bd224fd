"""Generated product records with questions about them, after the concept questions of ChineseEcomQA (arXiv 2502.20196).

Own wording, deterministic by seed. A record names the product's attributes in random order. Questions ask for an
attribute, which the record states, or for a relation, which it does not: in which country the brand is at home, to
which department the kind of product belongs. These hold in the whole domain, and only the question rows tell of them.

A question's prompt ends in the name of what is asked. In the record the value follows that name, so that models which
can look back answer by looking; after a prompt without the name (`A:` alone) the small models of this study learned no
more than the most frequent answers in the same pretraining.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from contextpress.corpus.records import Question, Record

SHOWN = 6  # question rows after a record: both relations and four attributes
# The earlier a value, the more often it is drawn: as one over the root of its place.
ATTRIBUTES = {
    "kind": "lamp chair table clock bottle basket coat shoe shirt ring knife bowl drum book tent rope",
    "brand": "Arvo Belm Corta Dunex Eskil Fenor Galva Hoxton Ivera Jolan Kemet Lurio Mondi Nexa Orvik Pelto",
    "colour": "red blue green white black brown grey pink orange yellow purple gold silver cream beige violet",
    "material": "wood iron glass cotton wool leather steel stone paper silk copper plastic rubber linen clay bone",
    "room": "kitchen garden bedroom office hall garage cellar attic nursery library studio balcony porch stable "
    "bathroom workshop",
    "owner": "child farmer doctor teacher sailor soldier baker singer hunter guard king queen driver writer guest aunt",
    "price": " ".join(str(number) for number in range(10, 90, 5)),
    "month": "January February March April May June July August September October November December",
    "shelf": "A B C D E F G H J K L M N P R S",
    "shape": "round square flat long oval thin wide curved hollow narrow folded twisted pointed deep tall short",
    "size": "tiny small medium large huge giant mini compact standard double half full extra slim broad single",
    "style": "plain modern classic rustic formal sporty royal rural urban festive simple bold quiet elegant retro odd",
}
VALUES = {name: tuple(values.split()) for name, values in ATTRIBUTES.items()}
# A relation, the attribute that it belongs to, and what it comes to.
RELATIONS = {
    "country": ("brand", ("Norway", "Spain", "Chile", "Japan", "Kenya", "Peru", "Egypt", "India")),
    "department": ("kind", ("home", "clothing", "tools", "music")),
}


def records(characters: int, document_characters: int, seed: int) -> Iterator[Record]:
    """Records of documents of about ``document_characters`` characters, ``characters`` in all."""
    facts = world(seed)
    total = 0
    for number in range(-(-characters // document_characters)):
        source = f"products/{number:06d}"
        chance = random.Random(f"{source} {seed}")
        found, size = [], -2
        while (made := _record(source, chance, facts)) and size + len(made.written()) + 2 <= document_characters:
            found.append(made)
            size += len(made.written()) + 2
        total += size
        if total > characters or not found:
            return
        yield from found


def world(seed: int) -> dict[str, dict[str, str]]:
    """What each relation comes to for each value of its attribute; every outcome for as many values."""
    found = {}
    for relation, (attribute, outcomes) in RELATIONS.items():
        values = list(VALUES[attribute])
        random.Random(f"{relation} {seed}").shuffle(values)
        found[relation] = {value: outcomes[place % len(outcomes)] for place, value in enumerate(values)}
    return found


def _record(source: str, chance: random.Random, facts: dict[str, dict[str, str]]) -> Record:
    names = list(VALUES)
    chance.shuffle(names)
    drawn = {
        name: chance.choices(VALUES[name], [(place + 1) ** -0.5 for place in range(len(VALUES[name]))])[0]
        for name in names
    }
    attributes = [_question(name, drawn[name], f"{name} {drawn[name]}") for name in names]
    relations = [
        _question(relation, facts[relation][drawn[name]], f"{name} {drawn[name]}")
        for relation, (name, _) in RELATIONS.items()
    ]
    shown = [*relations, *chance.sample(attributes, SHOWN - len(relations))]
    chance.shuffle(shown)
    text = ", ".join(f"{name} {drawn[name]}" for name in names)
    return Record(source, text, (*attributes, *relations), tuple(shown))


def _question(asked: str, answer: str, needs: str) -> Question:
    return Question(asked, prompt=f"\nQ: {asked}?\nA: {asked}", answer=f" {answer}", needs=needs)
