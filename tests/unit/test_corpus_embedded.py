# ruff: noqa: SIM905 - a list of words reads best as words
"""The embedded corpus on invented distributions: what counts, what does not, and that nothing else matters."""

import base64
import csv
import hashlib
import io
import random
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from contextpress.corpus import embedded, installed, steps
from contextpress.corpus.cutting import split_of
from contextpress.corpus.documents import DOCUMENTS
from contextpress.corpus.filters import jaccard, shingles
from contextpress.corpus.spec import Cut, DomainSpec, Embedded, HarvestSpec
from contextpress.corpus.workers import worker_count
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import read_table

WORDS = "the of a to in is that it with as for was on are by this be at from or which an not have you all can".split()
RARE = "lantern copper orchard valley meadow harbour saddle winter candle garden mirror basket thunder ribbon".split()


def prose(chance: random.Random) -> str:
    words = [chance.choice(WORDS) if chance.random() < 0.6 else chance.choice(RARE) for _ in range(40)]
    return " ".join(words).capitalize() + "."


@cache
def module(seed: str, paragraphs: int = 8) -> str:
    chance = random.Random(seed)
    functions = [
        f'def f{i}(x):\n    """{prose(chance)}\n\n    {prose(chance)}\n    """\n'
        f"    return {chance.choice(RARE)}({chance.choice(RARE)}, x) + {chance.choice(RARE)}.{chance.choice(RARE)}\n"
        for i in range(paragraphs)
    ]
    return "\n\n".join(functions)


class Site:
    """A folder of installed distributions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "requirements.lock"
        self.pins: dict[str, str] = {}

    def install(self, name: str, files: dict[str, str], version: str = "1.0", locked: bool = True) -> None:
        info = self.root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        rows = io.StringIO()
        writer = csv.writer(rows)
        for path, text in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            writer.writerow([path, f"sha256={digest}", len(text.encode())])
        writer.writerow([f"{info.name}/RECORD", "", ""])
        (info / "RECORD").write_text(rows.getvalue())
        if locked:
            self.pins[name] = version
            self.lock.write_text("".join(f"{name}=={version}\n" for name, version in self.pins.items()))

    def harvest(self, cap: int = 20_000, *extracts: str) -> pd.DataFrame:
        out = self.root / "harvest.parquet"
        names = extracts or ("prose", "code")
        spec = HarvestSpec(characters=dict.fromkeys(names, cap), cut=Cut(document_characters=1000))
        steps.harvest(spec=spec, lock=self.lock, output=out)
        return read_table(out, DOCUMENTS)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.root))
    monkeypatch.setenv("CONTEXTPRESS_THREADS", "1")
    for name in ("alpha", "Beta_Lib", "gamma", "delta", "epsilon"):
        folder = name.lower()
        site.install(name, {f"{folder}/m{i}.py": module(f"{name} {i}") for i in range(12)})
    return site


def content(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.drop(columns="entropy_rate").itertuples(index=False, name=None))


def test_the_harvest_has_both_domains_within_their_caps(site: Site) -> None:
    frame = site.harvest(20_000)
    sizes = frame["text"].str.len().groupby(frame["domain"]).sum()
    assert set(sizes.index) == {"prose", "code"}
    assert sizes.max() <= 20_000
    assert sizes["prose"] > 15_000
    assert frame["document_id"].is_unique
    assert frame["entropy_rate"].isna().all()
    assert frame["text"].str.len().max() <= 1100


def test_names_of_sources_are_normalised(site: Site) -> None:
    assert {source.split("/")[0] for source in site.harvest()["source"]} == {
        "alpha", "beta-lib", "gamma", "delta", "epsilon"
    }  # fmt: skip


def test_no_distribution_gives_more_than_a_quarter(site: Site) -> None:
    site.install("zeta", {f"zeta/m{i}.py": module(f"zeta {i}") for i in range(60)})
    frame = site.harvest(40_000)
    rows = frame[frame["domain"] == "prose"]
    shares = rows["text"].str.len().groupby(rows["source"].str.split("/").str[0]).sum()
    assert shares.max() <= 10_000
    assert shares.idxmax() == "zeta"


def test_no_file_gives_more_than_its_share(site: Site) -> None:
    frame = site.harvest(20_000)
    assert frame["text"].str.len().groupby([frame["domain"], frame["source"]]).sum().max() <= 1100


def test_a_package_that_the_lock_does_not_name_changes_nothing(site: Site) -> None:
    before = site.harvest()
    site.install("extra", {f"extra/m{i}.py": module(f"extra {i}") for i in range(5)}, locked=False)
    assert content(site.harvest()) == content(before)


def test_order_of_installation_and_of_the_lock_changes_nothing(site: Site) -> None:
    first = site.harvest()
    digest = hashlib.sha256((site.root / "harvest.parquet").read_bytes()).hexdigest()
    for info in site.root.glob("*.dist-info"):
        record = info / "RECORD"
        record.write_text("\n".join(reversed(record.read_text().splitlines())) + "\n")
    site.lock.write_text("# comment\n" + "\n".join(reversed(site.lock.read_text().splitlines())) + "\n\n")
    assert content(site.harvest()) == content(first)
    assert hashlib.sha256((site.root / "harvest.parquet").read_bytes()).hexdigest() == digest


def test_number_of_processes_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.harvest()
    monkeypatch.setenv("CONTEXTPRESS_THREADS", "2")
    monkeypatch.setattr(embedded, "ROUND", 7)
    assert content(site.harvest()) == content(first)


def test_another_domain_beside_it_changes_nothing(site: Site) -> None:
    both, alone = site.harvest(20_000, "prose", "code"), site.harvest(20_000, "prose")
    assert content(both[both["domain"] == "prose"]) == content(alone)


def test_an_edited_file_is_left_out(site: Site) -> None:
    source = site.harvest()["source"].iloc[0]
    edited = site.root / source.partition("/")[2]
    edited.write_text(edited.read_text() + "\n# edited\n")
    assert source not in set(site.harvest()["source"])


def test_files_that_are_not_text_are_left_out(site: Site) -> None:
    site.install("odd", {"odd/zero.py": module("odd") + "\0", "odd/fine.py": module("fine")})
    (site.root / "odd/latin.py").write_bytes(("# é\n" + module("latin")).encode("latin-1"))
    for path, count in (("odd/zero.py", 0), ("odd/latin.py", 0), ("odd/fine.py", 1)):
        sha = base64.urlsafe_b64encode(hashlib.sha256((site.root / path).read_bytes()).digest()).rstrip(b"=").decode()
        file = installed.SourceFile("odd", path, str(site.root / path), sha, ("prose",))
        assert len(embedded.read_units((file, ("prose",)))) == count


def test_what_differs_between_builds_is_left_out(site: Site) -> None:
    for name in ("torch", "nvidia-cublas-cu12", "contextpress", "pip"):
        site.pins[name] = "0.0"
    site.install("eta", {"eta/m.py": module("eta"), "../../bin/eta": "#!/usr/bin/python\n"})
    rows = installed.records(site.lock)
    assert not {"torch", "nvidia-cublas-cu12", "contextpress", "pip"} & rows.keys()
    assert [row[0] for row in rows["eta"]] == ["eta/m.py"]


def test_compiled_files_are_not_listed(site: Site) -> None:
    for name in ("eta", "theta", "iota"):
        files = {f"{name}/{word}_{i}.pyi": f"{word} {i} {name}" for word in RARE for i in range(3)}
        site.install(name, {**files, f"{name}/fast.cpython-311-x86_64-linux-gnu.so": "compiled"})
    text = "".join(site.harvest(80_000, "hashes")["text"])
    assert "lantern_0.pyi,sha256=" in text
    assert "fast.cpython" not in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("absent==1.0", "names absent, which is not installed"),
        ("alpha==2.0", "names alpha 2.0, but 1.0 is installed"),
        ("alpha>=1.0", "requirements.lock:1: 'alpha>=1.0' does not pin one version"),
        ("alpha @@ what", "requirements.lock:1: 'alpha @@ what' is not of the form name==version"),
    ],
)
def test_a_lock_that_does_not_fit_is_told(site: Site, line: str, message: str) -> None:
    site.lock.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        installed.records(site.lock)


def test_a_lock_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        installed.locked(tmp_path / "none.lock")


def test_locks_may_have_hashes_markers_and_build_suffixes(site: Site) -> None:
    site.lock.write_text(
        "alpha==1.0+cpu \\\n    --hash=sha256:00\n# note\nBeta_Lib==1.0  # reason\n"
        "windows==1.0 ; sys_platform == 'other'\n"
    )
    assert installed.locked(site.lock) == {"alpha": "1.0+cpu", "beta-lib": "1.0"}
    assert set(installed.records(site.lock)) == {"alpha", "beta-lib"}


def test_near_duplicates_are_out(site: Site) -> None:
    copies = {f"copy/m{i}.py": module("alpha 0").replace("lantern", "lamp") for i in range(3)}
    site.install("copy", copies)
    frame = site.harvest(40_000, "prose")
    units = [unit for text in frame["text"] for unit in text.split("\n\n")]
    codes = [shingles(unit) for unit in units]
    assert len(units) > 40
    assert max(jaccard(a, b) for i, a in enumerate(codes) for b in codes[:i]) < 0.6


def test_splits_never_straddle_a_file(site: Site) -> None:
    frame = site.harvest(40_000, "prose", "code")
    assert frame.groupby("source")["split"].nunique().max() == 1
    assert set(frame["split"]) == {"train", "validation", "test"}
    hashed = frame["source"].map(lambda source: split_of(source, Cut()))
    assert (hashed == frame["split"]).mean() > 0.9  # the rest fills a split that the hash left empty


@pytest.mark.parametrize(
    ("path", "domains"),
    [
        ("numpy/core/numeric.py", ("prose", "apiref", "examples", "code")),
        ("numpy/core/tests/test_numeric.py", ("tests",)),
        ("numpy/conftest.py", ("tests",)),
        ("scipy/linalg/blas.pyx", ("cfamily",)),
        ("matplotlib/mpl-data/fonts/afm/cmr10.afm", ("config",)),
        ("statsmodels/datasets/nile/nile.csv", ("tables",)),
        ("numpy/core/_multiarray.so", ()),
    ],
)
def test_files_are_classified_by_path(path: str, domains: tuple[str, ...]) -> None:
    assert installed.classify(path) == domains


def test_every_extraction_gives_text(site: Site) -> None:
    chance = random.Random(0)
    for name in ("eta", "theta", "iota", "kappa"):
        files = {f"{name}/tests/test_{i}.py": module(f"test {name} {i}") for i in range(6)}
        for i in range(6):
            values = [f"int {chance.choice(RARE)}_{j} = {chance.choice(RARE)}({j});" for j in range(60)]
            files[f"{name}/src/{i}.c"] = "\n".join(values)
            files[f"{name}/conf/{i}.yaml"] = "\n".join(
                f"{chance.choice(RARE)}_{chance.choice(RARE)}: {chance.choice(RARE)}" for _ in range(60)
            )
            files[f"{name}/data/{i}.csv"] = "\n".join(f"{chance.random():.6f},{chance.random():.6f}" for _ in range(60))
            checks = "\n".join(f"    >>> {chance.choice(RARE)}({j})\n    {chance.random()}" for j in range(20))
            about = "\n".join(f"    {chance.choice(RARE)} : {prose(chance)}" for _ in range(4))
            files[f"{name}/doc{i}.py"] = (
                f'def f():\n    """Do.\n\n    Parameters\n    ----------\n{about}\n\n'
                f'    Examples\n    --------\n{checks}\n    """\n'
            )
        site.install(name, files)
    extracts = ("prose", "apiref", "code", "tests", "examples", "cfamily", "config", "tables", "hashes")
    frame = site.harvest(20_000, *extracts)
    assert set(frame["domain"]) == set(extracts)


def test_a_domain_is_taken_from_the_harvest(site: Site) -> None:
    harvest = site.harvest(20_000)
    out = site.root / "words.parquet"
    spec = DomainSpec(domain=Embedded(name="words", extract="prose"), characters=5000)
    steps.domain(spec=spec, harvest=site.root / "harvest.parquet", output=out)
    frame = read_table(out, DOCUMENTS)
    assert frame["text"].tolist() == harvest[harvest["domain"] == "prose"]["text"].tolist()[: len(frame)]
    assert 4000 < frame["text"].str.len().sum() <= 5000
    assert frame["document_id"].iloc[0] == "words/000000"
    with pytest.raises(UserError, match="holds no tests"):
        steps.domain(spec=DomainSpec(domain=Embedded(name="tests")), harvest=site.root / "harvest.parquet", output=out)


def test_workers_are_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXTPRESS_THREADS", "3")
    assert worker_count() == 3
    monkeypatch.setenv("CONTEXTPRESS_THREADS", "many")
    with pytest.raises(UserError, match="CONTEXTPRESS_THREADS is 'many'"):
        worker_count()
    monkeypatch.delenv("CONTEXTPRESS_THREADS")
    assert worker_count() >= 1
