"""Texts of others as corpora: encyclopedia, stories, sums in words, laws. Looked for beside the checkout."""

import os
from pathlib import Path

import pytest

from contextpress.corpus import steps
from contextpress.corpus.documents import DOCUMENTS
from contextpress.corpus.spec import CorpusSpec, LocalFiles, domain_spec
from contextpress.runtime.tables import read_table

TEXTS = Path(os.environ.get("CONTEXTPRESS_TEST_TEXTS") or Path(__file__).parents[3] / "shared/data")


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("wikitext2/wikitext2_valid_test.txt", " the "),
        ("tinystories_sample/tinystories_a.txt", " little "),
        ("gsm8k/gsm8k.txt", " how many "),
        ("policy_en/policy.txt", " shall "),
    ],
)
def test_a_real_corpus_becomes_documents_of_all_splits(file, word, tmp_path):
    if not (TEXTS / file).is_file():
        pytest.skip(f"needs {TEXTS / file}; CONTEXTPRESS_TEST_TEXTS names another folder")
    corpus = CorpusSpec(characters=400_000)
    spec = domain_spec(LocalFiles(name="real", path=str(TEXTS / file)), corpus)
    steps.domain(spec=spec, output=tmp_path / "real.parquet")
    documents = read_table(tmp_path / "real.parquet", DOCUMENTS)
    whole = (TEXTS / file).read_text(encoding="utf-8")
    sizes = documents["text"].str.len()
    shares = sizes.groupby(documents["split"]).sum() / sizes.sum()
    assert 0.8 * corpus.characters < sizes.sum() < 1.1 * corpus.characters
    assert abs(shares["test"] - corpus.test) < 0.05 and abs(shares["validation"] - corpus.validation) < 0.05
    assert all(text.split("\n\n")[0].strip() in whole for text in documents["text"].sample(20, random_state=0))
    assert documents["text"].str.contains(word).mean() > 0.05
