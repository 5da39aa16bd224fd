"""Cutting, splitting, mixing and the manifest."""

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contextpress.corpus import cutting, documents, mixtures, steps
from contextpress.corpus.spec import (
    Arithmetic,
    CorpusSpec,
    Cut,
    Domain,
    Domains,
    Embedded,
    HarvestSpec,
    Markov,
    UniformWords,
    domain_spec,
    harvest_spec,
)
from contextpress.runtime.errors import UserError
from contextpress.runtime.spec import Spec

names = st.text("abcdefgh/.", min_size=1, max_size=12)


@given(st.lists(st.text("ab \n", min_size=1, max_size=300), max_size=12), st.integers(50, 200))
def test_packing_loses_and_invents_nothing(units: list[str], size: int) -> None:
    texts = list(cutting.pack(units, size, "\n\n"))
    assert "".join("".join(texts).split()) == "".join("".join(units).split())
    assert all(len(text) <= size for text in texts)


@given(
    st.dictionaries(st.sampled_from(["one", "two", "three"]), st.lists(names, min_size=12, max_size=60, unique=True))
)
def test_a_source_has_one_split_in_all_domains(sources: dict[str, list[str]]) -> None:
    found = cutting.splits(sources, Cut())
    for domain in sources.values():
        assert {found[source] for source in domain} == set(cutting.SPLITS)
    frame = documents.table({name: [cutting.Document(s, "x") for s in list_] for name, list_ in sources.items()}, Cut())
    assert frame.empty or frame.groupby("source")["split"].nunique().max() == 1


def test_shares_of_the_splits() -> None:
    found = [cutting.split_of(f"file{i}", Cut(test=0.2, validation=0.1)) for i in range(20_000)]
    assert found.count("test") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert found.count("validation") / 20_000 == pytest.approx(0.1, abs=0.01)


def test_the_split_of_a_source_does_not_change_with_releases() -> None:
    found = {i: cutting.split_of(f"numpy/core/{i}.py", Cut()) for i in range(24)}
    assert {i: split for i, split in found.items() if split != "train"} == {1: "validation", 6: "test", 11: "test"}


def test_order_is_by_hash_and_numbers_are_unique() -> None:
    found = [cutting.Document(f"s{i // 3}", f"text {i}") for i in range(60)]
    frame = documents.table({"one": found}, Cut())
    again = documents.table({"one": found[30:] + found[:30]}, Cut())
    assert frame.equals(again)
    assert frame["source"].tolist() != [document.source for document in found]
    assert frame["document_id"].is_unique
    for _, part in frame.groupby("source"):  # the order inside a source is that of the text
        assert part["text"].tolist() == sorted(part["text"], key=lambda text: int(text.split()[1]))


def test_two_sources_are_too_few() -> None:
    with pytest.raises(UserError, match="domain one has 2 sources"):
        cutting.splits({"one": ["a", "b"]}, Cut())


@given(
    st.sampled_from(sorted(mixtures.SIXTHS)),
    st.integers(1, 7),
    st.integers(1, 7),
)
def test_mixtures_are_exact(name: str, natural: int, formal: int) -> None:
    one, two = [f"n{i}" for i in range(natural)], [f"f{i}" for i in range(formal)]
    shares = mixtures.mixture_shares(name, one, two)
    assert sum(shares.values()) == 1
    assert sum(shares.get(domain, Fraction(0)) for domain in two) == Fraction(int(name[1]) - 1, 6)
    assert len({shares[domain] for domain in one}) == 1
    assert (len({shares[domain] for domain in two}) == 1) if name != "D1" else not shares.keys() & set(two)
    assert math.fsum(mixtures.mixture_weights(name, one, two).values()) == pytest.approx(1, abs=1e-15)


def test_mistakes_in_mixtures_are_told() -> None:
    with pytest.raises(UserError, match="corpus 'D7' is not known; one of D1, D2, D3, D4, D5, D6"):
        mixtures.mixture_weights("D7", ["prose"], ["code"])
    with pytest.raises(UserError, match="corpus D4 is 1/2 formal text, and no formal domain is named"):
        mixtures.mixture_weights("D4", ["prose"], [])
    with pytest.raises(UserError, match="code is named twice"):
        mixtures.mixture_weights("D4", ["prose", "code"], ["code"])
    assert mixtures.mixture_weights("D1", ["prose"], []) == {"prose": 1.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "Prose", "kind": "embedded", "extract": "prose"}, "pattern"),
        ({"name": "stories", "kind": "embedded"}, "needs `extract`"),
        ({"name": "m", "kind": "markov", "words": 8, "entropy": 2.1}, r"above ln\(8\) = 2.0794"),
        ({"name": "m", "kind": "markov", "entropy": 0}, "greater than 0"),
        ({"name": "m", "kind": "markov", "entropy": True}, "not true or false"),
        ({"name": "m", "kind": "wiki"}, "kind"),
        ({"name": "m", "kind": "files", "path": "a", "seed": 1}, "unknown_key"),
    ],
)
def test_mistakes_in_domains_are_told(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Domain).validate_python(values)


def test_names_of_domains_differ() -> None:
    with pytest.raises(ValidationError, match="u is there twice"):
        TypeAdapter(Domains).validate_python([{"name": "u", "kind": "uniform"}, {"name": "u", "kind": "arithmetic"}])


def test_a_spec_holds_nothing_that_its_text_does_not_depend_on() -> None:
    prose, code = Embedded(name="prose"), Embedded(name="listings", extract="code", characters=50_000)
    chain = Markov(name="m", entropy=1.0)
    one, two = CorpusSpec(seed=1), CorpusSpec(seed=2)
    domains = (code, prose, chain)
    assert harvest_spec(domains, one) == harvest_spec(domains, two)
    assert harvest_spec(domains, one).characters == {"prose": 6_000_000, "code": 50_000}
    assert harvest_spec((chain,), one) is None
    assert domain_spec(prose, one) == domain_spec(prose, two)
    assert domain_spec(chain, one) != domain_spec(chain, two)
    for spec in (harvest_spec(domains, one), domain_spec(chain, one), domain_spec(code, one)):
        assert type(spec).read(json.loads(spec.line())) == spec


def test_every_field_is_described() -> None:
    for kind in (Embedded, Arithmetic, Markov, UniformWords, Cut, CorpusSpec):
        for name, field in kind.model_fields.items():
            assert field.description or name == "kind", f"{kind.__name__}.{name}"


def test_the_manifest_counts_and_digests_content(tmp_path: Path) -> None:
    corpus = CorpusSpec(characters=30_000, document_characters=500)
    paths = []
    for domain in (UniformWords(name="u", words=9), Arithmetic(name="sums")):
        paths.append(tmp_path / f"{domain.name}.parquet")
        steps.domain(spec=domain_spec(domain, corpus), output=paths[-1])
    steps.manifest(documents=paths, output=tmp_path / "manifest.json")
    first = json.loads((tmp_path / "manifest.json").read_text())["domains"]
    assert set(first) == {"u", "sums"}
    sizes = first["u"]["splits"]
    assert sum(split["characters"] for split in sizes.values()) == sum(first["u"]["distributions"].values())
    assert 28_000 < sum(split["bytes"] for split in sizes.values()) <= 30_000
    assert list(first["sums"]["distributions"]) == ["arithmetic"]
    steps.domain(spec=domain_spec(Arithmetic(name="sums"), CorpusSpec(seed=1, characters=30_000)), output=paths[1])
    steps.manifest(documents=paths, output=tmp_path / "manifest.json")
    second = json.loads((tmp_path / "manifest.json").read_text())["domains"]
    assert second["u"] == first["u"]
    assert second["sums"]["sha256"] != first["sums"]["sha256"]


def test_steps_tell_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    with pytest.raises(UserError, match="--harvest is needed"):
        steps.domain(spec=domain_spec(Embedded(name="prose"), CorpusSpec()), output=out)
    spec: Spec = domain_spec(Arithmetic(name="sums"), CorpusSpec())
    with pytest.raises(UserError, match="needs `seed`"):
        steps.domain(spec=spec.model_copy(update={"seed": None}), output=out)
    with pytest.raises(UserError, match="needs `characters` and `cut`"):
        steps.domain(spec=spec.model_copy(update={"cut": None}), output=out)
    with pytest.raises(UserError, match=r"config key characters\.poems"):
        HarvestSpec.read({"characters": {"poems": 5}, "cut": {}})
    assert not out.exists()
