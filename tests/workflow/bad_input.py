"""The table of bad input: configs, config files, corpora and model folders, and what each message must say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from tests.unit.models import tiny

WORDS = 300  # entries of the tokenizer that every model folder below begins with
Make = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """What is wrong, and the parts of the message that name key or file, value and what is allowed."""

    name: str
    kind: str  # config, file (of config), corpus, model
    given: Any
    says: tuple[str, ...]


def _domains(*domains: dict[str, Any], **corpus: Any) -> dict[str, Any]:
    names = [domain.get("name") for domain in domains]
    return {"corpus": {"domains": list(domains), "natural": names[:1], "formal": names[-1:]} | corpus}


def _models(*models: dict[str, Any]) -> dict[str, Any]:
    return {"lm": {"models": [{"name": "D1", "pretrain": "D1"}, {"name": "D6", "pretrain": "D6"}, *models]}}


def _claims(**claims: Any) -> dict[str, Any]:
    return {"analysis": {"claims": claims}}


def _passages(**passages: Any) -> dict[str, Any]:
    return {"tokens": {"passages": passages}}


PROSE, CODE = {"name": "prose", "kind": "embedded"}, {"name": "code", "kind": "embedded"}
LOADED = {"lm": {"models": [{"name": name, "load": "some/model"} for name in ("D1", "D6")]}}
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
BOMB: list[Any] = ["x"]
for _ in range(40):
    BOMB = [BOMB, BOMB, BOMB]

CONFIGS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown_key": ({"seed": 3}, ("config key seed ", "not known", "seeds, gpus, corpus,")),
    "unknown_nested_key": (
        {"compressor": {"schedule": {"stepz": 5}}},
        ("config key compressor.schedule.stepz ", "not known", "steps, batch, learning_rate"),
    ),
    "unknown_key_of_a_domain": (
        _domains(PROSE, CODE | {"field": "text"}),
        ("config key corpus.domains[1].field ", "not known", "name, characters, kind, extract"),
    ),
    "unknown_key_in_look_alike_letters": ({"ѕtudy": "a"}, ("config key ѕtudy ", "not known", "study, seeds")),
    "key_that_clears_the_screen": ({"\x1b[2J\nseeds": 1}, (r"config key \x1b[2J seeds ", "not known", "study, seeds")),
    "key_of_half_a_character": ({"\ud800": 1}, (r"config key \ud800 is not known", "study, seeds")),
    "key_that_is_a_number": ({1: 2}, ("config key 1 is not known", "study, seeds")),
    "key_without_end": ({"k" * 9999: 1}, ("config key kkkk", "... is not known", "study, seeds")),
    "word_for_a_number": ({"corpus": {"test": "some"}}, ("config key corpus.test is", '"some"', "valid number")),
    "fraction_for_a_count": (_passages(window=16.5), ("config key tokens.passages.window is 16.5:", "valid integer")),
    "true_for_a_number": ({"seeds": [True]}, ("config key seeds[0] is true:", "a number is wanted")),
    "number_for_a_word": ({"study": 1}, ("config key study is 1:", "valid string")),
    "number_for_a_section": ({"lm": 5}, ("config key lm is 5:", "a section with keys")),
    "list_for_a_section": ({"corpus": [1]}, ("config key corpus is [1]:", "a section with keys")),
    "empty_section": ({"tokens": None}, ("config key tokens is null:", "a section with keys")),
    "section_for_a_number": ({"corpus": {"test": {"of": 1}}}, ("config key corpus.test", "valid number")),
    "section_for_a_list": ({"seeds": {"0": 1}}, ("config key seeds is", "a list is wanted")),
    "section_under_dates": ({"seeds": {pd.Timestamp(0): 1}}, ("config key seeds is", "a list is wanted")),
    "word_for_a_list": ({"compressor": {"encoders": "D1"}}, ('compressor.encoders is "D1":', "a list is wanted")),
    "list_in_itself": ({"seeds": CYCLE}, ("config key seeds[0] is [[[", "valid integer")),
    "list_that_grows_without_end": ({"seeds": BOMB}, ("config key seeds[0] is [[[", "valid integer")),
    "empty_list": ({"seeds": []}, ("config key seeds is []:", "at least 1")),
    "too_large": ({"corpus": {"validation": 0.6}}, ("config key corpus.validation is 0.6:", "less than 0.5")),
    "too_small": (_passages(test=0), ("tokens.passages.test is 0:", "greater than 1")),
    "negative": ({"compressor": {"ratios": [-4]}}, ("compressor.ratios[0] is -4:", "greater than 0")),
    "not_a_number": ({"corpus": {"test": float("nan")}}, ("config key corpus.test is NaN:", "finite")),
    "infinite": ({"corpus": {"test": float("inf")}}, ("config key corpus.test is Infinity:", "finite")),
    "seed_no_generator_takes": (_claims(seed=2**63), (f"analysis.claims.seed is {2**63}:", "below 2^63")),
    "not_a_choice": (
        {"compressor": {"connector": "cnn"}},
        ('compressor.connector is "cnn":', "'linear', 'mlp', 'deep' or 'alignment'"),
    ),
    "not_a_measure": ({"figures": {"measure": "rouge"}}, ('figures.measure is "rouge":', "'token_f1'")),
    "predictor_not_known": (
        _claims(c1={"predictor": "entropy"}),
        ('analysis.claims.c1.predictor is "entropy":', "'encoder_nll'"),
    ),
    "control_not_known": (_claims(c2={"controls": ["mood"]}), ('c2.controls[0] is "mood":', "'encoder_nll'")),
    "rung_not_known": (_claims(variants=["upside_down"]), ('claims.variants[0] is "upside_down":', "'reversed'")),
    "claim_not_known": (_claims(c4={}), ("config key analysis.claims.c4 is not known", "c1, c2, c3")),
    "ratio_that_does_not_divide": (
        {"compressor": {"ratios": [4, 3]}},
        ("compressor.ratios has 3", "tokens.passages.window (16)", "1, 2, 4, 8, 16"),
    ),
    "window_longer_than_the_context": (
        _passages(window=128),
        ("lm.shapes base has a context of 128", "tokens.passages.window 128", "need 162"),
    ),
    "shares_above_one": (
        {"compressor": {"curriculum": {"quarter": 0.6, "half": 0.5}}},
        ("quarter and half are 0.6 and 0.5", "below 1"),
    ),
    "jobs_without_end": (
        {"analysis": {"calibration": {"null_studies": 10**12, "chunk": 1}}},
        ("chunk is 1", f"{10**12} studies", "1000 jobs", f"at least {10**9}"),
    ),
    "natural_domain_not_defined": (
        {"corpus": {"natural": ["poems"]}},
        ("corpus.natural names 'poems'", "defined: prose, code, arithmetic"),
    ),
    "training_domain_not_defined": (
        {"compressor": {"domains": {"poems": 1}}},
        ("compressor.domains names 'poems'", "defined: prose, code, arithmetic"),
    ),
    "share_of_nothing": (
        {"compressor": {"domains": {"prose": 0}}},
        ("config key compressor.domains.prose is 0:", "greater than 0"),
    ),
    "encoder_not_defined": (
        {"compressor": {"encoders": ["D3"]}},
        ("compressor.encoders names 'D3'", "defined: D1, D6"),
    ),
    "decoder_not_defined": (
        {"compressor": {"decoders": ["../D3"]}},
        ("compressor.decoders names '../D3'", "defined: D1, D6"),
    ),
    "shape_not_defined": (
        _models({"name": "B", "pretrain": "D6", "shape": "huge"}),
        ("names 'huge'", "defined: base"),
    ),
    "mixture_not_known": (_models({"name": "B", "pretrain": "D7"}), ('lm.models[2].pretrain is "D7":', "'D1', 'D2'")),
    "model_without_an_origin": (_models({"name": "B"}), ("lm.models[2]:", "model B", "one of pretrain", "load")),
    "model_of_two_origins": (
        _models({"name": "B", "pretrain": "D1", "load": "x"}),
        ("lm.models[2]:", "model B", "exactly one of pretrain", "load"),
    ),
    "model_from_nowhere": (_models({"name": "B", "load": ""}), ('lm.models[2].load is "":', "at least 1 character")),
    "loaded_model_without_its_tokenizer": (
        LOADED,
        ("model D1 is loaded", "tokens.tokenizer.load", "some/model", "set its tokenizer to own"),
    ),
    "own_tokenizer_of_a_model_from_scratch": (
        _models({"name": "B", "pretrain": "D1", "tokenizer": "own"}),
        ("lm.models[2]:", "model B has tokenizer own", "is pretrained"),
    ),
    "window_of_a_model_that_reads_the_studys_tokens": (
        _models({"name": "B", "load": "some/model", "window": 20}),
        ("lm.models[2]:", "model B has a window", "for tokenizer own"),
    ),
    "decoders_whose_nats_cannot_be_compared": (
        _models({"name": "B", "load": "some/model", "tokenizer": "own"})
        | {"compressor": {"encoders": ["D1"], "decoders": ["D1", "B"]}},
        ("compressor.decoders have several tokenizers", "c2.predictor must be decoder_bits_per_byte", "decoder_nll"),
    ),
    "continuation_in_other_tokens": (
        _models({"name": "B", "load": "some/model", "tokenizer": "own"})
        | {"compressor": {"objective": "autoencoding_continuation"}},
        ("model B has tokenizer own", "compressor.objective must be autoencoding"),
    ),
    "foreign_tokenizer_for_a_model_from_scratch": (
        {"tokens": {"tokenizer": {"load": "some/model"}}},
        ("model D1 is to be pretrained", "tokens.tokenizer.load", "load the model too"),
    ),
    "tokenizer_from_nowhere": ({"tokens": {"tokenizer": {"load": ""}}}, ('tokenizer.load is "":', "at least 1")),
    "seed_twice": ({"seeds": [0, 1, 0]}, ("config key seeds is [0, 1, 0]:", "must differ")),
    "ratio_twice": ({"compressor": {"ratios": [4, 4]}}, ("compressor.ratios is [4, 4]:", "must differ")),
    "model_twice": (_models({"name": "D1", "pretrain": "D1"}), ("lm.models has D1 twice", "must differ")),
    "models_of_one_folder_where_case_counts_for_nothing": (
        _models({"name": "d1", "pretrain": "D1"}),
        ("lm.models has D1 and d1", "must differ in more than case"),
    ),
    "domain_twice": (_domains(PROSE, PROSE), ("config key corpus.domains:", "must differ", "prose is there twice")),
    "domain_on_both_sides": (_domains(PROSE), ("prose is named twice", "natural and formal")),
    "domain_without_a_name": (_domains({"kind": "embedded"}), ("config key corpus.domains[0].name is missing",)),
    "domain_of_no_kind": (_domains({"name": "prose"}), ("config key corpus.domains[0].kind is missing",)),
    "domain_of_unknown_kind": (
        _domains(PROSE, {"name": "web", "kind": "crawl"}),
        ('config key corpus.domains[1].kind is "crawl":', "'embedded', 'files', 'datasets'"),
    ),
    "embedded_domain_that_is_not_there": (
        _domains({"name": "poems", "kind": "embedded"}),
        ("config key corpus.domains[0]:", "extract", "prose, apiref, code"),
    ),
    "entropy_beyond_reach": (
        _domains({"name": "m", "kind": "markov", "words": 8, "entropy": 3.0}),
        ("corpus.domains[0]: entropy 3.0", "ln(8) = 2.0794"),
    ),
    "study_among_the_simulated": (
        {"study": "calibration"},
        ("study has calibration", "not allowed: bundles, calibration"),
    ),
    "domain_called_as_the_harvest": (
        _domains({"name": "harvest", "kind": "arithmetic"}),
        ("corpus.domains has harvest", "not allowed: harvest, manifest"),
    ),
    "model_called_as_a_table": (
        _models({"name": "Gap", "pretrain": "D1"}),
        ("lm.models has Gap", "not allowed: gap, model_free, perplexity"),
    ),
}

# Names that would leave the results folder, be taken for options, or mean something to a shell.
NAMES = {
    "parent": "../x",
    "root": "/x",
    "two_folders": "a/b",
    "dots": "..",
    "nothing": "",
    "option": "-rf",
    "line": "a\nb",
    "end_of_line": "a\n",
    "blank": "a b",
    "quote": "a'b",
    "command": "$(touch pwned)",
    "commands": "a;touch pwned",
    "nul": "a\0b",
    "wildcard": "{model}",
    "pattern": "a.*",
    "look_alike": "ѕmoke",
    "endless": "a" * 300,
}
for _name, _value in NAMES.items():
    _allowed = "at most 64" if _name == "endless" else "match pattern"
    _is = 'is "aaaa' if _name == "endless" else f"is {' '.join(json.dumps(_value, ensure_ascii=False).split())}:"
    CONFIGS |= {
        f"study_named_{_name}": ({"study": _value}, (f"config key study {_is}", _allowed)),
        f"domain_named_{_name}": (
            _domains({"name": _value, "kind": "arithmetic"}),
            (f"config key corpus.domains[0].name {_is}", _allowed),
        ),
        f"model_named_{_name}": (
            _models({"name": _value, "pretrain": "D1"}),
            (f"config key lm.models[2].name {_is}", _allowed),
        ),
    }

# What a config file holds, or how to make it; and what the message says beside the file's name.
FILES: dict[str, tuple[bytes | Make, tuple[str, ...]]] = {
    "missing": (lambda path: None, ("does not exist", "YAML or JSON")),
    "folder": (Path.mkdir, ("is not a file", "YAML or JSON")),
    "pipe": (os.mkfifo, ("is not a file", "YAML or JSON")),
    "loop_of_links": (lambda path: path.symlink_to(path), ("does not exist", "YAML or JSON")),
    "empty": (b"", ("holds nothing", "YAML or JSON", "study")),
    "list": (b"- study\n", ("holds a list", "keys such as study")),
    "word": (b"study\n", ("holds a str", "keys such as study")),
    "binary": (b"\x80\x04\x95\xff\0", ("not UTF-8", "0x80", "offset 0")),
    "latin": ("study: café\n".encode("latin-1"), ("not UTF-8", "0xe9", "offset 10")),
    "nul": (b"study: a\0b\n", ("#x0000", "YAML or JSON")),
    "open_bracket": (b"seeds: [0\nstudy: a\n", ("line 2", "expected ',' or ']'")),
    "tab": (b"corpus:\n\ttest: 0.1\n", ("line 2", "cannot start any token")),
    "half_a_json": (b'{"study": ', ("line 1", "YAML or JSON")),
    "two_documents": (b"study: a\n---\nstudy: b\n", ("line 2", "another document")),
    "key_twice": (b"study: a\nstudy: b\n", ("line 2", "key study is there twice", "allowed once")),
    "nested_key_twice": (b"corpus: {test: 0.1, test: 0.2}\n", ("line 1", "key test is there twice", "allowed once")),
    "key_twice_in_json": (b'{"study": "a", "study": "b"}', ("key study is there twice", "allowed once")),
    "key_that_is_a_date": (b"seeds: {2020-01-01: 1}\n", ("line 1", "keys are words", "a date")),
    "key_that_is_a_list": (b"? [a]\n: 1\n", ("line 1", "keys are words", "a list")),
    "date_that_is_none": (b"study: 2020-99-99\n", ("month must be in 1..12",)),
    "python_call": (
        b"study: !!python/object/apply:os.system ['touch pwned']\n",
        ("line 1", "python/object/apply:os.system", "tags are not read", "plain values"),
    ),
    "python_name": (b"study: !!python/name:os.system\n", ("line 1", "python/name:os.system", "tags are not read")),
    "python_tuple": (b"seeds: !!python/tuple [0]\n", ("line 1", "python/tuple", "tags are not read")),
    "tag_of_nobody": (b"study: !mine a\n", ("line 1", "!mine", "tags are not read", "plain values")),
    "template": (
        b"__use_yte__: true\nstudy: ?__import__('os').system('touch pwned')\n",
        ("key __use_yte__ is not allowed", "templates", "not read"),
    ),
    "alias": (b"seeds: &a [0]\nstudy: *a\n", ("line 2", "*a", "aliases are not read", "write the value out")),
    "alias_of_itself": (b"corpus: &a {corpus: *a}\n", ("line 1", "*a", "aliases are not read")),
    "nested_too_deep": (b"seeds: " + b"[" * 3000 + b"]" * 3000, ("nested too deep", "YAML or JSON")),
    "number_of_5000_digits": (b"seeds: [" + b"9" * 5000 + b"]\n", ("4300 digits", "YAML or JSON")),
    "key_of_snakemake": (b"pathvars: 5\n", ("config key pathvars is not known", "study, seeds")),
}


def _write(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def _parquet(**columns: list[Any]) -> Make:
    return lambda path: pd.DataFrame(columns).to_parquet(path)


def _unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")  # an input error on reading, whoever asks


RECORDS = b'{"text": "one"}\n{"text": "two"}\n'
# Name of the file (or what a pattern or folder gives), how it is made, and what the message says.
CORPORA: dict[str, tuple[str, Make, tuple[str, ...]]] = {
    "missing_file": ("mine.txt", lambda path: None, ("domain mine", "mine.txt", "does not exist")),
    "pattern_without_a_match": ("*.txt", lambda path: None, ("domain mine", "*.txt", "matches no file")),
    "pattern_that_is_none": ("**x/mine.txt", lambda path: None, ("domain mine", "**x/mine.txt", "'**' can only be")),
    "name_without_end": ("m" * 300 + ".txt", lambda path: None, ("domain mine", "mmm.txt", "name too long")),
    "folder_without_texts": ("mine", Path.mkdir, ("domain mine", "holds no file of the kinds .txt, .md, .jsonl")),
    "loop_of_links": ("mine.txt", lambda path: path.symlink_to(path), ("domain mine", "mine.txt", "does not exist")),
    "link_to_nothing": ("mine.txt", lambda path: path.symlink_to("no"), ("domain mine", "mine.txt", "does not exist")),
    "pipe": ("mine.txt", os.mkfifo, ("domain mine", "mine.txt", "neither a file nor a folder")),
    "kind_not_read": ("mine.pdf", _write(b"%PDF"), ("domain mine", "mine.pdf", ".txt, .md, .jsonl, .parquet, .csv")),
    "wildcard": ("{model}.txt", _write(b"one"), ("domain mine", "{model}.txt", "a brace", "rename it")),
    "pickle": ("mine.pkl", _write(b"\x80\x04."), ("domain mine", "mine.pkl", ".txt, .md, .jsonl, .parquet, .csv")),
    "empty_text": ("mine.txt", _write(b""), ("mine.txt", "is empty")),
    "blank_text": ("mine.txt", _write(b" \n\n"), ("mine.txt", "is empty")),
    "empty_lines": ("mine.jsonl", _write(b""), ("mine.jsonl", "is empty")),
    "not_utf8": ("mine.txt", _write("Käse".encode("latin-1")), ("mine.txt", "not UTF-8", "0xe4", "offset 1")),
    "utf16": ("mine.txt", _write("Käse".encode("utf-16")), ("mine.txt", "binary", "UTF-8 text is wanted")),
    "binary": ("mine.md", _write(b"one\0two"), ("mine.md", "binary", "offset 3", "UTF-8")),
    "unreadable": ("mine.txt", _unreadable, ("mine.txt", "cannot be read")),
    "unreadable_records": ("mine.jsonl", _unreadable, ("mine.jsonl", "cannot be read")),
    "unreadable_parquet": ("mine.parquet", _unreadable, ("mine.parquet", "cannot be read as Parquet")),
    "broken_line": ("mine.jsonl", _write(RECORDS + b'{"text": "th'), ("mine.jsonl:3:", "not JSON", "column 10")),
    "line_nested_too_deep": ("mine.jsonl", _write(b"[" * 99_999), ("mine.jsonl:1:", "not JSON that can be read")),
    "line_of_digits": ("mine.jsonl", _write(b"9" * 5000), ("mine.jsonl:1:", "not JSON that can be read")),
    "half_a_character": ("mine.jsonl", _write(b'{"text": "\\ud800"}'), ("mine.jsonl:1:", "'text' is not UTF-8")),
    "no_field": ("mine.jsonl", _write(b'\n{"body": "two"}\n'), ("mine.jsonl:2:", "no field 'text'", "'body'")),
    "field_not_text": ("mine.jsonl", _write(b'{"text": 1}\n'), ("mine.jsonl:1:", "'text' is int", "not text")),
    "not_an_object": ("mine.jsonl", _write(b'["one"]\n'), ("mine.jsonl:1:", "a JSON object", "not list")),
    "no_column": ("mine.csv", _write(b"body\none\n"), ("mine.csv", "no column 'text'", "'body'")),
    "column_twice": ("mine.csv", _write(b"text,text\none,two\n"), ("mine.csv", "'text' is there 2 times", "one is")),
    "row_too_long": ("mine.csv", _write(b"id,text\n1,a,b\n"), ("mine.csv", "cannot be read as CSV", "Expected 2")),
    "not_parquet": ("mine.parquet", _write(b"text"), ("mine.parquet", "cannot be read as Parquet")),
    "no_parquet_column": ("mine.parquet", _parquet(body=["a"]), ("mine.parquet", "no column 'text'", "'body'")),
    "numbers_in_parquet": ("mine.parquet", _parquet(text=[1]), ("mine.parquet, row 0", "'text' is int", "not text")),
    "empty_cell": ("mine.parquet", _parquet(text=["a", None]), ("mine.parquet, row 1", "'text' is empty", "not text")),
    "too_little_text": ("mine.txt", _write(b"one\n"), ("domain mine has 1 source", "validation and test", "three")),
    "one_text_again_and_again": (
        "mine.jsonl",
        _write(b'{"text": "the same"}\n' * 50),
        ("domain mine", "50 documents, 1 different", "at least 3"),
    ),
}


def _without(name: str) -> Make:
    return lambda folder: (folder / name).unlink()


def _written(name: str, data: bytes) -> Make:
    return lambda folder: (folder / name).write_bytes(data)


def _config(name: str = "config.json", **values: Any) -> Make:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        (folder / "theirs.py").write_text("open('pwned', 'w')\n")

    return change


QUERY = "model.layers.0.self_attn.q_proj.weight"


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Make:
    def rewrite(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def _pickled(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def _encoder(folder: Path) -> None:
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=WORDS, **shape)).save_pretrained(folder)


THEIRS = {"auto_map": {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"}, "model_type": "theirs"}
# What is done to the folder of a small causal model, and what the message says beside the folder's name.
MODELS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "no_config": (_without("config.json"), ("the folder has no config.json",)),
    "broken_config": (_written("config.json", b"{"), ("config.json' is not a valid JSON",)),
    "config_of_another_kind": (_written("config.json", b"[]"), ("must be a mapping, not list",)),
    "config_without_sense": (_config(num_attention_heads=0), ("cannot be loaded", "transformers saves")),
    "pickled_weights": (_pickled, ("no file named model.safetensors", "config.json and model.safetensors")),
    "no_weights": (_without("model.safetensors"), ("no file named model.safetensors", "config.json and model")),
    "truncated_weights": (_truncated, ("not fully covered", "config.json and model.safetensors")),
    "empty_weights": (_written("model.safetensors", b""), ("header too small", "config.json and model.safetensors")),
    "weight_missing": (_weights(lambda weights: weights.pop(QUERY)), ("its weights lack", QUERY)),
    "weight_of_another_shape": (
        _weights(lambda weights: weights.update({QUERY: torch.zeros(3, 3)})),
        (QUERY, "has shape [3, 3]", "config.json wants [32, 32]"),
    ),
    "weight_not_a_number": (
        _weights(lambda weights: weights[QUERY].fill_(torch.nan)),
        ("is of type llama", "no number", "a causal language model is wanted"),
    ),
    "code_of_others": (_config(**THEIRS), ("custom code", "config.json and model.safetensors")),
    "tokenizer_code_of_others": (
        _config("tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.Words", None]}, tokenizer_class="Words"),
        ("tokenizer", "custom code", "tokenizer.json"),
    ),
    "no_tokenizer": (
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
        ("tokenizer", "cannot be loaded", "tokenizer.json and tokenizer_config.json are wanted"),
    ),
    "broken_tokenizer": (_written("tokenizer.json", b"{}"), ("tokenizer", "tokenizer.json and tokenizer_config.json")),
    "tokenizer_of_another_kind": (_written("tokenizer_config.json", b"[]"), ("tokenizer", "tokenizer_config.json")),
    "fewer_embeddings_than_words": (
        lambda folder: tiny("llama", vocab_size=200).save_pretrained(folder),
        ("has 200 embeddings", "fewer than the 300 entries of its tokenizer"),
    ),
    "encoder_only": (_encoder, ("is of type bert", "still to come", "a causal language model is wanted")),
    "context_too_short": (
        _config(max_position_embeddings=20),
        ("at most 20 positions", "tokens.passages.window", "needs 32"),
    ),
}

CASES = [
    *(Case(f"config-{name}", "config", given, says) for name, (given, says) in CONFIGS.items()),
    *(Case(f"file-{name}", "file", given, says) for name, (given, says) in FILES.items()),
    *(Case(f"corpus-{name}", "corpus", (path, make), says) for name, (path, make, says) in CORPORA.items()),
    *(Case(f"model-{name}", "model", given, says) for name, (given, says) in MODELS.items()),
]
