"""What can be asked of the corpus room: its domains and sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contextpress.corpus.words import GRAMMAR_CHOICES, WORDS
from contextpress.runtime.spec import NAME_LENGTH, Number, Spec, Whole

Extract = Literal["prose", "apiref", "code", "tests", "examples", "cfamily", "config", "tables", "hashes"]
EXTRACTS: tuple[Extract, ...] = (
    *("prose", "apiref", "code", "tests", "examples"),
    *("cfamily", "config", "tables", "hashes"),
)


class Named(Spec):
    """What every domain has."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=NAME_LENGTH,
        description="Name of the domain in every table and figure: lower-case letters, digits and underscores.",
    )
    characters: Whole | None = Field(
        None, gt=0, description="Cap on this domain's text, in characters. Empty: the cap of the corpus."
    )


class Embedded(Named):
    """Documentation and source of the packages that the lock file names, read where they are installed."""

    kind: Literal["embedded"] = "embedded"
    extract: Extract | None = Field(
        None,
        description=f"What is cut from the installed packages: one of {', '.join(EXTRACTS)}. Empty: as the name says.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.extract is None and self.name not in EXTRACTS:
            raise ValueError(f"an embedded domain needs `extract`, or as its name one of {', '.join(EXTRACTS)}")
        return self

    @property
    def what(self) -> str:
        """The extraction that gives this domain's text, one of EXTRACTS."""
        return self.extract or self.name


class LocalFiles(Named):
    """Text files of your own."""

    kind: Literal["files"] = "files"
    path: str = Field(
        min_length=1,
        description="A file, a folder (read with all below it), or a pattern such as texts/*.txt; relative to where "
        "the workflow is started. Read by suffix: .txt, .md, .jsonl, .parquet, .csv.",
    )
    field: str = Field(
        "text", min_length=1, description="The column or key that holds the text (.jsonl, .parquet, .csv)."
    )


class HubDataset(Named):
    """A data set by its name on the Hugging Face hub, or a local folder that the library `datasets` can read."""

    kind: Literal["datasets"] = "datasets"
    dataset: str = Field(min_length=1, description="Name on the hub, such as wikimedia/wikipedia, or a local folder.")
    config: str | None = Field(
        None, min_length=1, description="Configuration (subset) of the data set, such as 20231101.en."
    )
    split: str = Field("train", min_length=1, description="Split of the data set to read; it is split anew here.")
    field: str = Field("text", min_length=1, description="The column that holds the text.")
    revision: str | None = Field(
        None,
        min_length=1,
        description="Commit or tag of the data set. Set it: without one the text may change from run to run.",
    )
    streaming: bool = Field(
        True,
        description="Read only as many records as needed, over the network. False: from the cache, which is filled "
        "with the whole data set first; the choice for machines without a network.",
    )


class Arithmetic(Named):
    """Generated questions with answers, in the manner of DM Mathematics (arXiv 1904.01557), in our own wording."""

    kind: Literal["arithmetic"] = "arithmetic"


class Products(Named):
    """Generated product records, each with question rows about it: what a probe asks of memories."""

    kind: Literal["products"] = "products"


class QuestionFile(Named):
    """Questions of your own, for a probe: rows of JSON with context, question and answer, or question and answer."""

    kind: Literal["questions"] = "questions"
    path: str = Field(
        min_length=1,
        description="A .jsonl file, relative to where the workflow is started; its rows have context, "
        "question and answer (as SQuAD), or question and answer (as GSM8K).",
    )


class Markov(Named):
    """Words from a Markov chain whose entropy rate is set, not observed."""

    kind: Literal["markov"] = "markov"
    order: Whole = Field(1, ge=1, le=4, description="Words of context that decide the next word.")
    words: Whole = Field(64, ge=2, le=len(WORDS), description=f"Different words, 2 to {len(WORDS)}.")
    entropy: Number = Field(gt=0, description="Entropy rate in nats per word: above 0, at most ln(words).")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.entropy > math.log(self.words):
            raise ValueError(f"entropy {self.entropy} is above ln({self.words}) = {math.log(self.words):.4f} nats")
        return self


class Grammar(Named):
    """Sentences from templates with free slots; the entropy rate follows from the number of choices."""

    kind: Literal["grammar"] = "grammar"
    templates: Whole = Field(6, ge=1, le=6, description="Sentence templates to choose from, each as likely.")
    choices: Whole = Field(
        16,
        ge=1,
        le=GRAMMAR_CHOICES,
        description=f"Words to choose from in each slot, each as likely, 1 to {GRAMMAR_CHOICES}.",
    )


class UniformWords(Named):
    """Words drawn independently and evenly: the ceiling of ln(words) nats per word."""

    kind: Literal["uniform"] = "uniform"
    words: Whole = Field(64, ge=1, le=len(WORDS), description=f"Different words, 1 to {len(WORDS)}.")


Domain = Annotated[
    Embedded | LocalFiles | HubDataset | Arithmetic | Products | QuestionFile | Markov | Grammar | UniformWords,
    Field(discriminator="kind"),
]
Generated = Arithmetic | Products | Markov | Grammar | UniformWords
Asking = Products | QuestionFile  # of which a probe can be made


def _distinct(domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
    names = [domain.name for domain in domains]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"domain names must differ: {', '.join(twice)} is there twice")
    return domains


Domains = Annotated[tuple[Domain, ...], AfterValidator(_distinct)]


class Cut(Spec):
    """How text is cut into documents and split."""

    document_characters: Whole = Field(
        4000, ge=200, description="Length of a document, in characters, about; it is cut from one source file."
    )
    validation: Number = Field(
        0.05, gt=0, lt=0.5, description="Share of the sources for validation: early stopping, and the probe of the gap."
    )
    test: Number = Field(
        0.1, gt=0, lt=0.5, description="Share of the sources for the test: the passages reconstructed and analysed."
    )


class CorpusSpec(Cut):
    """Sizes of the corpus; the domains stand beside it."""

    characters: Whole = Field(
        6_000_000,
        ge=10_000,
        description="Cap on the text kept per domain, in characters. Six million is what the embedded corpus can give "
        "most domains (about 1.7 million tokens of prose).",
    )
    seed: Whole = Field(
        0, ge=0, description="Seed of the generated domains only; text that is read is ordered by hash."
    )


class HarvestSpec(Spec):
    """What to cut from the installed packages, and how much of it."""

    characters: Mapping[Extract, Whole]  # cap per extraction; the ones not named are not cut
    cut: Cut


class DomainSpec(Spec):
    """One domain, with the values it depends on: a cap and a cut unless harvested, a seed if generated."""

    domain: Domain
    characters: Whole | None = None
    cut: Cut | None = None
    seed: Whole | None = None


def harvest_spec(domains: Domains, corpus: CorpusSpec) -> HarvestSpec | None:
    """The harvest that the embedded ones among ``domains`` need, or None if there is none."""
    caps: dict[str, int] = {}
    for domain in domains:
        if isinstance(domain, Embedded):
            cap = domain.characters or corpus.characters
            caps[domain.what] = max(cap, caps.get(domain.what, 0))
    ordered: dict[Extract, int] = {extract: caps[extract] for extract in EXTRACTS if extract in caps}
    return HarvestSpec(characters=ordered, cut=_cut(corpus)) if caps else None


def domain_spec(domain: Domain, corpus: CorpusSpec) -> DomainSpec:
    """The spec of one domain's step: nothing in it that its text does not depend on."""
    cap = domain.characters or corpus.characters
    if isinstance(domain, Embedded):
        return DomainSpec(domain=domain, characters=cap)
    seed = corpus.seed if isinstance(domain, Generated) else None
    return DomainSpec(domain=domain, characters=cap, cut=_cut(corpus), seed=seed)


def _cut(corpus: CorpusSpec) -> Cut:
    return Cut(document_characters=corpus.document_characters, validation=corpus.validation, test=corpus.test)
