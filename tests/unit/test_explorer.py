"""The explorer's data: what goes into the page comes out again, and nothing of it is markup."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from contextpress.analysis.observations import OBSERVATIONS
from contextpress.cli import main
from contextpress.entropy.scores import TOKEN_SCORES
from contextpress.reconstruction.table import MEASURES, RECONSTRUCTIONS
from contextpress.report import explorer
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import write_table
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.explorer_study import HOSTILE, study
from tests.unit.models import end_only


def unpacked(page: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The words and arrays of a page, read as its script reads them."""
    block = re.search(r'<script type="text/plain" id="block">([A-Za-z0-9+/=]+)</script>', page)
    raw = zlib.decompress(base64.b64decode(block[1]), wbits=-15)
    length = int.from_bytes(raw[:4], "little")
    assert (4 + length) % 8 == 0
    words = json.loads(raw[4 : 4 + length])
    arrays = {}
    for name, told in words["arrays"].items():
        assert told["offset"] % 8 == 0
        kind = np.dtype(told["type"]).newbyteorder("<")
        count = int(np.prod(told["shape"]))
        arrays[name] = np.frombuffer(raw, kind, count, 4 + length + told["offset"]).reshape(told["shape"])
    return words, arrays


@pytest.fixture(scope="module", params=[(), ("D6-s0",), ("D1-s0", "D6-s0")], ids=["study", "one", "both"])
def made(request):
    """Of the two models none, one or both read tokens of their own."""
    return study(passages=12, own=request.param)


@pytest.fixture(scope="module")
def page(made):
    return explorer.page(explorer.content(*made))


def test_passages_tokens_and_reconstructions_come_out_as_they_went_in(made, page):
    spec, tables = made
    words, arrays = unpacked(page)
    normal = tables.observations[tables.observations["variant"] == "normal"]
    assert words["passages"] == sorted(normal["passage_id"].unique())
    assert words["of"] == 24
    text = tables.passages.set_index("passage_id").loc[words["passages"]]
    assert words["texts"] == text["text"].tolist()
    source = normal.drop_duplicates("passage_id").set_index("passage_id").loc[words["passages"]]
    assert words["sources"] == source["source"].tolist()
    assert [words["domains"][place] for place in arrays["domain"]] == source["domain"].tolist()

    def told(rows: np.ndarray) -> list[list[str]]:
        return [[words["pieces"][token - 1] for token in row if token] for row in rows]

    def wanted(rows: pd.Series, model: str) -> list[list[str]]:
        return [[tables.pieces[tables.tokenizers[model]][token] for token in ids] for ids in rows]

    assert len(arrays["tokens"]) == len(set(tables.tokenizers.values()))
    for model, which in zip(words["models"], words["reads"], strict=True):
        ids = tables.token_scores[model].groupby("passage_id")["token_id"].agg(list).loc[words["passages"]]
        assert told(arrays["tokens"][which]) == wanted(ids, model)
        assert ["".join(row) for row in told(arrays["tokens"][which])] == words["texts"]
    for which, table in enumerate(tables.reconstructions):
        real = table[table["condition"] == "real"].set_index("passage_id")["token_ids"].loc[words["passages"]]
        model = words["compressors"][which]["decoder_model"]
        back = np.where(arrays["made"][which] == 0, arrays["tokens"][words["reads"][model]], arrays["made"][which])
        assert told(back) == wanted(real, words["models"][model])
    assert len(words["compressors"]) == len(spec.compressors) == 8


def test_numbers_come_out_within_the_steps_they_are_kept_in(made, page):
    spec, tables = made
    words, arrays = unpacked(page)
    assert {measure["name"] for measure in words["measures"]} == {*MEASURES, "information_retained"}
    rows = tables.observations.set_index("passage_id")
    for which, one in enumerate(spec.compressors):
        mine = (rows["encoder"] == one.encoder) & (rows["decoder"] == one.decoder) & (rows["ratio"] == one.ratio)
        mine = rows[mine].loc[words["passages"]]
        told = words["compressors"][which]
        assert (told["encoder"], told["decoder"], told["ratio"]) == (one.encoder, one.decoder, one.ratio)
        for place, measure in enumerate(words["measures"]):
            span = measure["high"] - measure["low"]
            back = measure["low"] + arrays["scores"][which, :, place] / 65535 * span
            assert back == pytest.approx(mine[measure["name"]].to_numpy(), abs=span / 65535 * 0.501)
        for side in ("encoder", "decoder"):
            model = told[f"{side}_model"]
            assert words["models"][model] == getattr(one, f"{side}_model")
            assert arrays["nll"][model] == pytest.approx(mine[f"{side}_nll"].to_numpy(), rel=1e-6)
            assert arrays["bucket"][model].tolist() == mine[f"{side}_bucket"].tolist()
    for model, name in enumerate(words["models"]):
        nll = tables.token_scores[name].groupby("passage_id")["nll"].agg(list)
        for place, passage in enumerate(words["passages"]):
            kept = np.minimum(nll[passage], 255 * words["nats_step"])
            back = arrays["token_nll"][model, place, : len(kept)] * words["nats_step"]
            assert back == pytest.approx(kept, abs=words["nats_step"] / 2)


def test_no_text_of_the_study_stands_in_the_page_as_it_is(page):
    for text in HOSTILE:
        assert text not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=|@import|url\(|https?:", page)


def test_a_name_of_a_study_is_no_markup():
    assert "<title>Study &lt;b&gt;&amp;" in explorer._assembled("<b>&", "")


def test_a_page_of_too_many_passages_shows_some_and_counts_all(made, page):
    few = explorer.page(explorer.content(*made), largest=len(page.encode()) - 1)
    assert few == explorer.page(explorer.content(*made), largest=len(page.encode()) - 1)
    assert len(few.encode()) < len(page.encode())
    (all_words, all_arrays), (words, arrays) = unpacked(page), unpacked(few)
    assert words["of"] == 24
    assert 1 < len(words["passages"]) < 24
    assert words["passages"] == sorted(words["passages"])
    kept = [all_words["passages"].index(name) for name in words["passages"]]
    assert words["texts"] == [all_words["texts"][place] for place in kept]
    for name in ("tokens", "made", "token_nll", "nll", "bucket", "scores"):
        assert arrays[name].tolist() == all_arrays[name][:, kept].tolist(), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passages": lambda table: table.iloc[1:]}, "passages: no row for passage"),
        ({"observations": lambda table: table[table["encoder"] != "D6"]}, "observations: none of D6-D1"),
        ({"token_scores": lambda table: {"D1-s0": table["D1-s0"]}}, "no token scores of model D6-s0; there are D1-s0"),
        ({"token_scores": lambda table: {m: t.iloc[8:] for m, t in table.items()}}, "token scores of D1-s0: no row"),
        ({"reconstructions": lambda tables: [table.iloc[:-1] for table in tables]}, "reconstructions: no row for"),
    ],
)
def test_what_is_missing_is_named(change, said):
    spec, tables = study(passages=4, ladder=0)
    ((name, how),) = change.items()
    with pytest.raises(UserError, match=said):
        explorer.content(spec, explorer.Tables(**{**vars(tables), name: how(getattr(tables, name))}))


def test_pieces_of_a_byte_level_tokenizer_make_up_the_text():
    text = "the cat sat on the mat\n\tthe cat é\n"
    tokenizer = train_tokenizer([text], 270)
    ids = tokenizer("the cat sat\n\ton", add_special_tokens=False)["input_ids"]
    assert "".join(explorer.pieces(tokenizer, ids)[token] for token in ids) == "the cat sat\n\ton"
    whole, parts = tokenizer.get_vocab()["<bos>"], tokenizer("ü", add_special_tokens=False)["input_ids"]
    assert len(parts) == 2
    assert explorer.pieces(tokenizer, [whole, *parts]) == {whole: "<bos>", parts[0]: "Ã", parts[1]: "¼"}


def test_pieces_of_a_sentencepiece_tokenizer_keep_their_blanks():
    words = {"<unk>": 0, "▁a": 1, "▁cat": 2, "s": 3}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<unk>")
    assert explorer.pieces(tokenizer, [2, 3]) == {2: " cat", 3: "s"}


def test_the_step_writes_the_same_bytes_again_with_each_models_pieces(tmp_path):
    spec, tables = study(passages=4, domains=("prose",))
    folders = {"D1-s0": tmp_path / "tokenizer", "D6-s0": tmp_path / "own"}
    words = [train_tokenizer(["the cat sat on the mat"], 260), end_only(["the cat sat on the mat"], 260)]
    for tokenizer, folder in zip(words, folders.values(), strict=True):
        tokenizer.save_pretrained(folder)
    write_table(tmp_path / "observations.parquet", tables.observations, OBSERVATIONS)
    first = tables.passages.assign(document_id="d", domain="prose", source="s", split="test", variant="normal")
    first = first.assign(start=np.int32(0), bytes=np.int32(1), entropy_rate=np.nan)
    write_table(tmp_path / "passages.parquet", first, PASSAGES)
    options: dict[str, list] = {"--scores": [], "--reconstructions": []}
    for model, table in tables.token_scores.items():
        options["--scores"].append(tmp_path / "tokens" / f"{model}.parquet")
        rest = table.assign(predictive_entropy=np.float32(1), rank=np.int32(1))
        write_table(options["--scores"][-1], rest, TOKEN_SCORES)
    for place, table in enumerate(tables.reconstructions):
        options["--reconstructions"].append(tmp_path / f"{place}.parquet")
        write_table(
            options["--reconstructions"][-1],
            pd.DataFrame(table.assign(reconstruction="", **dict.fromkeys(MEASURES, 0.5))),
            RECONSTRUCTIONS,
        )
    command = ["report", "explorer", "--spec", spec.line(), "--tokenizers", *map(str, folders.values())]
    for name in ("observations", "passages"):
        command += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    command += [
        "--scores",
        *map(str, options["--scores"]),
        "--reconstructions",
        *map(str, options["--reconstructions"]),
    ]
    for name in ("one.html", "two.html"):
        assert main([*command, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    told, arrays = unpacked((tmp_path / "one.html").read_text(encoding="utf-8"))
    assert told["passages"] == sorted(first.loc[first["passage_id"].str.count("/") == 1, "passage_id"])
    ids = tables.passages.set_index("passage_id")["token_ids"].loc[told["passages"]]
    for which, tokenizer in zip(told["reads"], words, strict=True):
        known = explorer.pieces(tokenizer, range(100, 120))
        for row, own in zip(arrays["tokens"][which], ids, strict=True):
            assert [told["pieces"][token - 1] for token in row] == [known[token] for token in own]
    assert main([*command[:-1], "--output", str(tmp_path / "three.html")]) == 2  # a table of reconstructions too few
    assert not (tmp_path / "three.html").exists()
