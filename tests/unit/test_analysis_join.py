import json

import numpy as np
import pandas as pd
import pytest

from contextpress.analysis.join import memory_used
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.spec import MemoryTest, ObservationsSpec
from contextpress.cli import main
from contextpress.entropy.scores import GAP, MODEL_FREE, PASSAGE_SCORES
from contextpress.reconstruction.table import CONDITIONS, MEASURES, RECONSTRUCTIONS
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.passages import PASSAGES

IDS = [f"prose/{document:06d}:{start}" for document in range(4) for start in (0, 64)]


def _describe(encoder="D1", decoder="D6", seed=0, **more):
    return {
        "encoder": encoder,
        "decoder": decoder,
        "encoder_model": f"{encoder}-s{seed}",
        "decoder_model": f"{decoder}-s{seed}",
        "readout": "mean_pool",
        "ratio": 4,
        "seed": seed,
        "decoder_training": "frozen",
        "encoder_replaced": 0.0,
        "decoder_replaced": 5 / 6,
    } | more


class Inputs:
    def __init__(self, folder):
        self.folder = folder
        self.compressors = [_describe("D6", "D1", encoder_replaced=5 / 6, decoder_replaced=0.0), _describe("D1", "D6")]
        self.passages = pd.DataFrame(
            {
                "passage_id": IDS[::-1],
                "document_id": [name.split(":")[0] for name in IDS[::-1]],
                "domain": "prose",
                "source": "a.txt",
                "split": "test",
                "variant": "normal",
                "start": 0,
                "text": "text",
                "token_ids": [[1, 2, 3]] * len(IDS),
                "bytes": 4,
                "entropy_rate": None,
            }
        )
        self.scores = {
            model: pd.DataFrame(
                {
                    "passage_id": IDS,
                    "model": model,
                    "nll": np.linspace(2, 3, len(IDS)) + offset,
                    "bits_per_byte": 1.0,
                    "predictive_entropy": 2.0,
                    "top1": 0.5,
                    "bucket": np.arange(len(IDS)) // 4,
                }
            )
            for offset, model in enumerate(("D1-s0", "D6-s0"))
        }
        self.free = pd.DataFrame({"passage_id": IDS, "unigram_entropy": 5.0, "zlib_bits_per_byte": 3.0})
        self.gap = pd.DataFrame(
            {
                "encoder": ["D1", "D6"],
                "decoder": ["D6", "D1"],
                "seed": 0,
                "design": 5 / 6,
                "kl_encoder_decoder": [0.4, 0.5],
                "kl_decoder_encoder": [0.5, 0.4],
                "entropy_difference": [0.1, -0.1],
            }
        )
        nll = {"real": 0.5, "zeroed": 2.0, "shuffled": 1.9, "truncated": 1.0}
        self.reconstructions = [
            pd.DataFrame(
                [
                    {"passage_id": name, "condition": condition, "reconstruction": "x", "token_ids": [1]}
                    | dict.fromkeys(MEASURES, 0.1 * CONDITIONS.index(condition))
                    | {"nll": nll[condition] + number + 0.01 * len(name) * place}
                    for place, name in enumerate(IDS)
                    for condition in CONDITIONS
                ]
            )
            for number in range(2)
        ]

    def run(self):
        def write(name, frame, schema):
            write_table(self.folder / name, frame, schema)
            return str(self.folder / name)

        options = {
            "--spec": [json.dumps({"compressors": self.compressors})],
            "--passages": [write("passages.parquet", self.passages, PASSAGES)],
            "--scores": [write(f"{name}.parquet", frame, PASSAGE_SCORES) for name, frame in self.scores.items()],
            "--model-free": [write("free.parquet", self.free, MODEL_FREE)],
            "--gaps": [write("gap.parquet", self.gap, GAP)],
            "--reconstructions": [
                write(f"r{number}.parquet", frame, RECONSTRUCTIONS) for number, frame in enumerate(self.reconstructions)
            ],
            "--observations": [str(self.folder / "observations.parquet")],
        }
        status = main(["analysis", "observations", *(word for key, words in options.items() for word in (key, *words))])
        return status, self.folder / "observations.parquet"


@pytest.fixture
def inputs(tmp_path):
    return Inputs(tmp_path)


def test_observations_are_joined_and_sorted(inputs):
    status, path = inputs.run()
    assert status == 0
    table = read_table(path, OBSERVATIONS)
    assert len(table) == 16
    assert list(table["encoder"]) == ["D1"] * 8 + ["D6"] * 8
    assert list(table["passage_id"][:8]) == IDS
    first = table.iloc[0]
    assert first["encoder_nll"] == 2.0  # D1
    assert first["decoder_nll"] == 3.0  # D6
    assert first["tokens"] == 3
    assert first["nll"] == pytest.approx(1.5)  # the second reconstruction table
    assert first["information_retained"] == pytest.approx(0.5)
    assert first["nll_shuffled"] == pytest.approx(2.9)
    assert first["accuracy_truncated"] == pytest.approx(0.3)
    assert first["gap_kl_encoder_decoder"] == 0.4
    assert first["gap_design"] == pytest.approx(5 / 6)
    assert table["entropy_rate"].isna().all()
    assert table["memory_used"].all()


def test_the_same_inputs_give_the_same_bytes(inputs):
    path = inputs.run()[1]
    before = path.read_bytes()
    inputs.passages = inputs.passages.sample(frac=1, random_state=0)
    inputs.reconstructions = [frame.sample(frac=1, random_state=0) for frame in inputs.reconstructions]
    assert inputs.run()[1].read_bytes() == before


def test_models_that_are_no_mixtures_have_no_design_gap(inputs):
    for described in inputs.compressors:
        described |= {"encoder_replaced": None, "decoder_replaced": None}
    inputs.gap["design"] = None
    table = read_table(inputs.run()[1], OBSERVATIONS)
    assert table[["encoder_replaced", "decoder_replaced", "gap_design"]].isna().all(axis=None)


def test_the_ladder_has_no_zeroed_and_truncated(inputs):
    inputs.passages.loc[inputs.passages["passage_id"] == IDS[0], "variant"] = "reversed"
    _drop_condition(inputs, "zeroed")
    _drop_condition(inputs, "truncated")
    status, path = inputs.run()
    assert status == 0
    table = read_table(path, OBSERVATIONS)
    second, first = table[table["passage_id"] == IDS[0]].to_dict("records")
    assert np.isnan(first["nll_zeroed"])
    assert np.isnan(first["bleu_truncated"])
    assert first["nll_shuffled"] == pytest.approx(1.9)
    assert second["nll_zeroed"] == pytest.approx(3.0)  # the other compressor's table has it


def _drop_score(inputs):
    inputs.scores["D6-s0"] = inputs.scores["D6-s0"].iloc[1:]


def _drop_model(inputs):
    del inputs.scores["D6-s0"]


def _drop_gap(inputs):
    inputs.gap = inputs.gap.iloc[1:]


def _drop_table(inputs):
    del inputs.reconstructions[1]


def _drop_condition(inputs, condition="shuffled"):
    frame = inputs.reconstructions[0]
    inputs.reconstructions[0] = frame[(frame["condition"] != condition) | (frame["passage_id"] != IDS[0])]


def _drop_condition_of_undisturbed(inputs):
    _drop_condition(inputs, "truncated")


def _double_passage(inputs):
    inputs.passages = pd.concat([inputs.passages, inputs.passages.iloc[:1]])


def _double_compressor(inputs):
    inputs.compressors[0] = inputs.compressors[1]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_drop_score, "scores of D6-s0: no row for passage prose/000000:0"),
        (_drop_model, "no passage scores of model D6-s0"),
        (_drop_gap, "no gap for encoder D1 and decoder D6 of seed 0"),
        (_drop_table, "2 compressors, but 1 reconstruction tables"),
        (_drop_condition, "not every passage has the conditions"),
        (_drop_condition_of_undisturbed, "not every passage has the conditions"),
        (_double_passage, "comes twice"),
        (_double_compressor, "two compressors"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(inputs, capsys, spoil, words):
    spoil(inputs)
    status, path = inputs.run()
    message = capsys.readouterr().err
    assert status == 2
    assert words in message
    assert message.count("\n") == 1
    assert not path.exists()


def _gain(values, documents, variant="normal"):
    nll = np.zeros(len(values))
    return pd.DataFrame({"nll": nll, "nll_shuffled": values, "document_id": documents, "variant": variant})


def test_memory_counts_as_used_by_a_test_over_documents():
    generator = np.random.default_rng(0)
    documents = np.repeat(np.arange(10), 50)
    clear = 0.4 + generator.normal(0, 0.1, 500)
    assert memory_used(_gain(clear, documents), MemoryTest())
    assert not memory_used(_gain(-clear, documents), MemoryTest())
    assert not memory_used(_gain(np.zeros(500), documents), MemoryTest())
    # Passages alone would say yes: the gain is there in half of the documents and missing in the others.
    by_document = np.repeat(np.tile([0.5, -0.4], 5), 50) + generator.normal(0, 0.1, 500)
    assert by_document.mean() / (by_document.std() / np.sqrt(500)) > 2
    assert not memory_used(_gain(by_document, documents), MemoryTest(min_gain=0))


def test_a_gain_that_is_sure_but_small_does_not_count():
    generator = np.random.default_rng(3)
    documents, noise = np.repeat(np.arange(10), 50), generator.normal(0, 0.02, 500)
    assert memory_used(_gain(0.2 + noise, documents), MemoryTest(min_gain=0))
    assert not memory_used(_gain(0.2 + noise, documents), MemoryTest())
    assert memory_used(_gain(0.3 + noise, documents), MemoryTest())


def test_memory_needs_the_declared_gain_two_documents_and_unaltered_text():
    generator = np.random.default_rng(1)
    rows = _gain(0.4 + generator.normal(0, 0.02, 100), np.repeat(np.arange(10), 10))
    assert memory_used(rows, MemoryTest())
    assert not memory_used(rows, MemoryTest(min_gain=0.5))
    assert not memory_used(rows.assign(document_id="one"), MemoryTest())
    assert not memory_used(rows.assign(variant="random_ids"), MemoryTest())


def test_the_bound_is_the_one_of_clustered_errors():
    """Against statsmodels' cluster-robust error of a mean."""
    import statsmodels.api as models

    generator = np.random.default_rng(2)
    documents = generator.integers(0, 12, 90)
    gain = generator.normal(0.1, 0.5, 90) + generator.normal(0, 0.3, 12)[documents]
    fit = models.OLS(gain, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": documents, "use_correction": False})
    clusters = len(np.unique(documents))
    from scipy import stats

    lower = gain.mean() - stats.t.ppf(0.95, clusters - 1) * fit.bse[0] * np.sqrt(clusters / (clusters - 1))
    shifted = _gain(gain - lower + 1e-9, documents)
    assert memory_used(shifted, MemoryTest(min_gain=0))
    assert not memory_used(_gain(gain - lower - 1e-9, documents), MemoryTest(min_gain=0))


def test_a_spec_names_at_least_one_compressor():
    with pytest.raises(ValueError, match="compressors"):
        ObservationsSpec(compressors=())
