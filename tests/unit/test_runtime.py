"""What every room stands on: files, tables, specs, the learning rate."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import Field, model_validator

from contextpress.runtime import tables
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, read_json, replacing, sha256, write_json, write_text
from contextpress.runtime.fit import LAST_RATE, rate_at
from contextpress.runtime.schedule import Schedule
from contextpress.runtime.spec import Number, Spec, Whole
from contextpress.runtime.tables import batches, read_table, required, write_table, writing

# -- files


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "x.txt"
    with replacing(path) as draft:
        draft.write_text("half")
        assert not path.exists()
        assert draft.parent == path.parent  # renaming works only within a file system
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_no_half_file(tmp_path):
    path = tmp_path / "x.txt"
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "x.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_filled_with_whole_files(tmp_path):
    (tmp_path / "old").write_text("stays")
    (tmp_path / "one").write_text("before")
    with filling(tmp_path) as drafts:
        for name in ("one", "two"):
            (drafts / name).write_text(name)
        assert (tmp_path / "one").read_text() == "before"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "stays", "one": "one", "two": "two"}


def test_an_error_fills_nothing(tmp_path):
    with pytest.raises(RuntimeError), filling(tmp_path) as drafts:
        (drafts / "one").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    others = {f".x.txt.{os.getppid()}", ".x.txt.old", f".y.txt.{gone.pid}", f"x.txt.{gone.pid}"}
    for name in {f".x.txt.{gone.pid}", *others}:
        (tmp_path / name).touch()
    (tmp_path / f".files.{gone.pid}").mkdir()
    (tmp_path / f".files.{gone.pid}" / "half").touch()
    write_text(tmp_path / "x.txt", "whole")
    with filling(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"x.txt", *others}


def test_json_comes_back_and_keeps_its_letters(tmp_path):
    path, value = tmp_path / "x.json", {"b": [1, 2.5, None], "a": "naïve"}
    write_json(path, value)
    assert read_json(path) == value
    assert list(read_json(path)) == ["b", "a"]
    assert "naïve" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_word_for_what_is_not_finite(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_the_bytes(tmp_path):
    write_text(tmp_path / "x", "abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# -- tables

SCHEMA = pa.schema([required("name", pa.string()), required("n", pa.int32()), pa.field("x", pa.float64())])
FRAME = pd.DataFrame({"name": ["a", "b"], "n": [1, 2], "x": [0.5, None]})


def test_a_table_comes_back_in_the_order_of_its_schema(tmp_path):
    write_table(tmp_path / "t.parquet", FRAME[["x", "n", "name"]], SCHEMA)
    back = read_table(tmp_path / "t.parquet", SCHEMA)
    assert list(back.columns) == SCHEMA.names
    assert back["name"].tolist() == ["a", "b"]
    assert np.isnan(back["x"][1])
    assert list(read_table(tmp_path / "t.parquet", SCHEMA, ["x", "name"]).columns) == ["x", "name"]


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [0, 4, 6, 0], [1] * 10, [9, 1]])
def test_a_table_in_parts_has_the_bytes_of_one_in_one_piece(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(tables, "ROWS", 4)
    frame = pd.DataFrame({"name": [f"row {n % 3}" for n in range(10)], "n": range(10), "x": [None, 0.5] * 5})
    write_table(tmp_path / "one.parquet", frame, SCHEMA)
    with writing(tmp_path / "two.parquet", SCHEMA) as write:
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            write(frame.iloc[end - size : end])
    assert sha256(tmp_path / "one.parquet") == sha256(tmp_path / "two.parquet")
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "two.parquet", SCHEMA), read_table(tmp_path / "one.parquet", SCHEMA)
    )
    groups = pq.ParquetFile(tmp_path / "two.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [4, 4, 2]


def test_an_error_in_a_part_leaves_no_table(tmp_path):
    with pytest.raises(UserError, match="n"), writing(tmp_path / "t.parquet", SCHEMA) as write:
        write(FRAME)
        write(FRAME.assign(n=None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [[3], [4], [9], [3, 3], [0, 5, 0, 3], [0], []])
def test_tables_are_read_in_batches_across_their_borders(tmp_path, monkeypatch, sizes):
    paths = [tmp_path / f"{number}.parquet" for number in range(len(sizes))]
    numbers = iter(range(100))
    for path, size in zip(paths, sizes, strict=True):
        rows = [next(numbers) for _ in range(size)]
        write_table(path, pd.DataFrame({"name": [str(n) for n in rows], "n": rows, "x": 0.5}), SCHEMA)
    monkeypatch.setattr(tables, "ROWS", 4)
    read = [frame["n"].tolist() for frame in batches(paths, SCHEMA, ["x", "n"])]
    every = list(range(sum(sizes)))
    assert read == [every[start : start + 4] for start in range(0, len(every), 4)]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    write_table(tmp_path / "one.parquet", FRAME, SCHEMA)
    write_table(tmp_path / "two.parquet", FRAME.set_index(pd.Index([7, 9])), SCHEMA)
    assert sha256(tmp_path / "one.parquet") == sha256(tmp_path / "two.parquet")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (FRAME.drop(columns="x"), r"columns missing \['x'\]"),
        (FRAME.assign(y=1), r"not declared \['y'\]"),
        (FRAME.assign(n=["one", "two"]), "column n "),
        (FRAME.assign(n=[1, 2**40]), "column n "),
        (FRAME.assign(n=[1, 2.5]), "column n "),
        (FRAME.assign(name=["a", None]), "t.parquet: .*name"),
        (FRAME.assign(name=[1, 2]), "column name "),
    ],
    ids=["missing", "unknown", "text_for_a_number", "too_large", "fraction", "empty_cell", "number_for_text"],
)
def test_a_table_that_breaks_its_schema_is_not_written(tmp_path, frame, says):
    with pytest.raises(UserError, match=says) as told:
        write_table(tmp_path / "t.parquet", frame, SCHEMA)
    assert "t.parquet" in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_another_schema_is_not_read(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match="does not exist"):
        read_table(path, SCHEMA)
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_table(path, SCHEMA)
    pq.write_table(pa.table({"name": ["a"], "n": pa.array([1], pa.int64()), "x": [0.5]}), path)
    with pytest.raises(UserError, match=r"wanted \['name', 'n', 'x'\] with the declared types"):
        read_table(path, SCHEMA)


# -- specs


class Cat(Spec):
    kind: Literal["cat"] = "cat"
    lives: Whole = Field(9, gt=0)


class Dog(Spec):
    kind: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ()


class House(Spec):
    height: Number = Field(2.5, lt=100)
    rooms: Whole = Field(4, gt=0)
    pets: tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...] = Field((), max_length=3)
    shares: dict[str, Number] | None = None
    address: str | None = None

    @model_validator(mode="after")
    def _low(self):
        if self.height < self.rooms / 10:
            raise ValueError(f"height {self.height} is too low for rooms {self.rooms}")
        return self


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"roof": 1}, "config key roof is not known; known here: height, rooms, pets, shares, address"),
        ({"pets": [{"kind": "cat", "name": "Tom"}]}, "config key pets[0].name is not known; known here: kind, lives"),
        ({"pets": [{"kind": "cat"}, {"kind": "cat", "lives": 0}]}, "config key pets[1].lives is 0: should be greater"),
        ({"pets": [{"kind": "dog", "tricks": [1]}]}, "config key pets[0].tricks[0] is 1: should be a valid string"),
        ({"pets": [{"kind": "cow"}]}, "config key pets[0].kind is \"cow\": should be one of 'cat', 'dog'"),
        ({"pets": [{"lives": 9}]}, "config key pets[0].kind is missing"),
        ({"pets": "cat"}, 'config key pets is "cat": a list is wanted'),
        ({"pets": ["cat"]}, 'config key pets[0] is "cat": a section with keys of its own is wanted'),
        ({"shares": {"a": "much"}}, 'config key shares.a is "much": should be a valid number'),
        ({"height": True}, "config key height is true: a number is wanted, not true or false"),
        ({"height": math.inf}, "config key height is Infinity: should be a finite number"),
        ({"height": 0.1}, "config: height 0.1 is too low for rooms 4"),
        ({"height": 500, "rooms": -1}, "config key height is 500: should be less than 100 (and 1 more)"),
        ({"address": ["x" * 200]}, f'config key address is ["{"x" * 75}...: should be a valid string'),
    ],
)
def test_an_error_names_key_value_and_what_is_allowed(values, says):
    with pytest.raises(UserError, match=f"^{re.escape(says)}"):
        House.read(values)


def test_an_error_can_be_told_where_it_stands():
    with pytest.raises(UserError, match=r"^config key street\.house\.rooms is 0:"):
        House.read({"rooms": 0}, "street.house")
    with pytest.raises(UserError, match=r"^config key street\.house: height 0\.1 is too low"):
        House.read({"height": 0.1}, "street.house")
    with pytest.raises(UserError, match=r"^config key config is \[16\]: a section"):
        House.read([16])


def test_a_spec_travels_as_one_line():
    house = House(pets=(Cat(), Dog(tricks=("roll\nover",))), shares={"a": 1})
    assert "\n" not in house.line()
    assert House.read(json.loads(house.line())) == house
    assert list(json.loads(house.line())) == list(House.model_fields)


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        House().rooms = 5


def test_the_message_for_a_user_is_one_line():
    assert str(UserError("one\n  two\tthree")) == "one two three"


# -- the learning rate


def rates(**values) -> list[float]:
    schedule = Schedule(**{"batch": 1, "learning_rate": 0.1, **values})
    return [rate_at(step, schedule) for step in range(schedule.steps)]


def test_the_rate_rises_evenly_and_falls_to_its_last_share():
    found = rates(steps=100, rise=0.2)
    assert found[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert max(found) == found[19] == found[20] == 1.0
    assert all(after < before for before, after in pairwise(found[20:]))
    assert found[60] == pytest.approx((1 + LAST_RATE) / 2)  # half-way down the cosine
    assert LAST_RATE < found[-1] < LAST_RATE + 0.002


@pytest.mark.parametrize(("steps", "rise"), [(1, 0.0), (1, 0.9), (2, 0.0), (3, 0.99), (50, 0.0), (7, 0.1)])
def test_the_rate_is_never_zero_and_never_above_its_peak(steps, rise):
    found = rates(steps=steps, rise=rise)
    assert len(found) == steps
    assert all(0 < rate <= 1 for rate in found)
    assert found[0] == 1 / max(1, round(rise * steps))
