"""The explorer in a real browser: ten thousand passages, with texts that would like to be markup."""

from __future__ import annotations

import numpy as np
import pytest

from contextpress.report import explorer
from tests.unit.browser import CHROMIUM, Browser
from tests.unit.explorer_study import PIECES, WINDOW, study

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or chromium-browser, which is not installed")

DOMAINS = ("prose", "apiref", "code", "tests")
EACH = 2500
TEXT = "Array.from(at('{}').children, (token) => token.{}textContent)"


@pytest.fixture(scope="module")
def made():
    return study(EACH, DOMAINS, ladder=2)


@pytest.fixture(scope="module")
def rows(made):
    """Undisturbed observations of the pair and setting that the page starts with, least surprising first."""
    spec, tables = made
    one, table = spec.compressors[0], tables.observations
    same = [table[name] == getattr(one, name) for name in ("encoder", "decoder", "ratio")]
    table = table[(table["variant"] == "normal") & same[0] & same[1] & same[2]]
    return table.astype({"encoder_nll": "float32"}).sort_values(["encoder_nll", "passage_id"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def browser(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "explorer.html").write_text(explorer.page(explorer.content(*made)), encoding="utf-8")
    browser = Browser(folder / "profile")
    browser.file = folder / "explorer.html"
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """The page, newly opened."""
    browser.problems.clear()
    browser.requests.clear()
    browser.open(browser.file)
    browser.until("at('name').textContent !== ''")
    return browser


def name(page) -> str:
    return page.ask("at('name').textContent")


def place_of(page, passage: str) -> tuple[float, float]:
    """Where a passage's point lies in the window."""
    found = f"study.passages.indexOf({passage!r})"
    return page.ask(f"(({{left, top}}) => [left + x({found}), top + y({found})])(canvas.getBoundingClientRect())")


def seen(piece: str) -> str:
    """A token as the page shows it."""
    return piece.replace("\n", "⏎\n").replace("\t", "→\t")


def tab_to(page, element: str) -> None:
    for _ in range(12):
        page.key("Tab")
        if page.ask("document.activeElement.id") == element:
            return
    raise AssertionError(f"the tabulator does not reach {element}")


def test_it_opens_from_a_file_without_complaint_or_request(page):
    assert page.ask("at('about').textContent").startswith("All 10,000 undisturbed held-out passages, 8 compressors.")
    assert page.ask("at('status').textContent").startswith("10,000 passages, mean of Token F1: ")
    colours = (
        "new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer))"
    )
    assert page.ask(f"{colours}.size") > 100
    assert page.requests == [page.file.as_uri()]
    assert page.problems == []


def test_ten_thousand_passages_are_less_than_fifteen_megabytes(browser):
    assert browser.file.stat().st_size < 15_000_000


def test_each_model_shows_a_passage_in_its_own_tokens(page, tmp_path):
    assert page.ask("at('own').hidden")  # where all read the same
    spec, tables = study(60, DOMAINS[:2], own=("D6-s0",))
    (tmp_path / "own.html").write_text(explorer.page(explorer.content(spec, tables)), encoding="utf-8")
    page.open(tmp_path / "own.html")
    page.until("at('name').textContent !== ''")
    assert not page.ask("at('own').hidden")
    which = next(n for n, one in enumerate(spec.compressors) if (one.encoder, one.decoder) == ("D1", "D6"))
    page.ask(f"at('pair').value = pairOf(study.compressors[{which}]), choose()")
    passage = page.ask("study.passages[shown[3]]")
    page.click(*place_of(page, passage))
    page.until(f"at('name').textContent === {passage!r}")
    text = tables.passages.set_index("passage_id").loc[passage, "text"]
    for side, model in (("encoder", "D1-s0"), ("decoder", "D6-s0")):
        mine = tables.token_scores[model].set_index("passage_id").loc[passage]
        told = [tables.pieces[tables.tokenizers[model]][token] for token in mine["token_id"]]
        assert "".join(told) == text
        assert page.ask(TEXT.format(side, "firstChild.")) == [seen(piece) for piece in told]
        numbers = [float(number) for number in page.ask(TEXT.format(side, "lastChild."))]
        assert numbers == pytest.approx(mine["nll"].clip(upper=15.9).tolist(), abs=0.09)
        assert page.ask(f"at('{side}').firstChild.style.backgroundColor").startswith("rgba(")
    # The passage has more letters than words, and the reconstruction as many as the passage.
    made = tables.reconstructions[which].query("condition == 'real'").set_index("passage_id").loc[passage, "token_ids"]
    assert page.ask(TEXT.format("true", "")) == [seen(letter) for letter in text]
    assert page.ask(TEXT.format("made", "")) == [seen(chr(letter)) for letter in made]
    mean = tables.observations.query("encoder == 'D1' and decoder == 'D6' and ratio == 4")
    mean = mean.set_index("passage_id").loc[passage, "decoder_nll"]
    bits = mean * len(text) / np.log(2) / len(text.encode())
    title = page.ask("at('decoder-title').textContent")
    assert title == f"Surprise of the decoder D6-s0: {mean:.2f} nats per token, {bits:.2f} bits per byte"
    assert page.problems == []


def test_texts_stay_text(page):
    for _ in range(20):
        page.ask("tell(shown[shown.indexOf(chosen) + 1])")
        assert page.ask("document.querySelectorAll('#passage :is(img, script, iframe), script').length") == 2
    assert page.ask("typeof window.broken") == "undefined"
    assert page.problems == []


def test_filters_are_reached_by_keyboard_and_choose_passages(page, rows):
    tab_to(page, "domain")
    page.call("Input.dispatchKeyEvent", type="char", text="c")  # a select goes to the entry that begins so
    page.until("at('domain').selectedOptions[0].textContent === 'code'")
    assert page.ask("shown.length") == EACH
    tab_to(page, "bucket")
    page.call("Input.dispatchKeyEvent", type="char", text="1")
    page.until("at('bucket').value === '0'")
    wanted = rows[(rows["domain"] == "code") & (rows["encoder_bucket"] == 0)]
    assert page.ask("shown.map((place) => study.passages[place])") == wanted["passage_id"].tolist()
    said = page.ask("at('status').textContent")
    assert said.startswith(f"{len(wanted):,} passages, mean of Token F1: {wanted['token_f1'].mean():.3f}")
    assert name(page) in set(wanted["passage_id"])
    page.ask("at('side').value = 'decoder', at('pair').selectedIndex = 1")
    page.ask("at('pair').dispatchEvent(new Event('change', {bubbles: true}))")
    assert page.ask("study.models[study.compressors[view.compressor].decoder_model]") == "D6-s0"
    assert page.ask("canvas.getAttribute('aria-valuemax')") == str(page.ask("shown.length"))
    assert page.problems == []


def test_a_choice_that_nothing_fits_says_so(page):
    page.ask("study.arrays.bucket.values.fill(1)")
    page.ask("at('bucket').value = 0, choose()")
    assert page.ask("at('status').textContent") == "No passage fits these choices."
    assert page.ask("at('passage').hidden")
    page.key("ArrowRight")
    page.ask("at('bucket').value = -1, choose()")
    assert not page.ask("at('passage').hidden")
    assert page.problems == []


def test_pointer_shows_and_chooses_a_passage(page, made, rows):
    spec, tables = made
    last = rows.iloc[-1]
    where = place_of(page, last["passage_id"])
    page.move(*where)
    page.until("!at('hint').hidden")
    assert page.ask("at('hint').textContent").startswith(f"{last['passage_id']}: surprise {last['encoder_nll']:.2f}")
    page.click(*where)
    page.until(f"at('name').textContent === {last['passage_id']!r}")
    assert page.ask("at('origin').textContent") == f"{last['domain']}, from {last['source']}"
    # The tokens, as they are and as they were reconstructed, with their differences.
    ids = tables.passages.set_index("passage_id").loc[last["passage_id"], "token_ids"].tolist()
    told = [seen(PIECES[token]) for token in ids]
    assert page.ask(TEXT.format("true", "")) == told
    for side, model in (("encoder", spec.compressors[0].encoder_model), ("decoder", spec.compressors[0].decoder_model)):
        nll = tables.token_scores[model].set_index("passage_id").loc[last["passage_id"], "nll"].clip(upper=15.9)
        assert page.ask(TEXT.format(side, "firstChild.")) == told
        shown = [float(text) for text in page.ask(TEXT.format(side, "lastChild."))]
        assert shown == pytest.approx(nll.tolist(), abs=0.09)
    made_ids = tables.reconstructions[0].query("condition == 'real'").set_index("passage_id")["token_ids"]
    made_ids = made_ids.loc[last["passage_id"]].tolist()
    assert len(page.ask(TEXT.format("made", ""))) == WINDOW
    names = "Array.from(at('{}').children, (token) => token.localName)"
    for element, tokens, mark in (("true", ids, "del"), ("made", made_ids, "ins")):
        kept = [token for token, kind in zip(tokens, page.ask(names.format(element)), strict=True) if kind == "span"]
        assert set(page.ask(names.format(element))) == {"span", mark}
        assert len(kept) == longest_common(ids, made_ids)
    scores = dict(
        page.ask("Array.from(at('scores').rows, (row) => [row.cells[0].textContent, row.cells[1].textContent])")
    )
    assert float(scores["Token F1"]) == pytest.approx(last["token_f1"], abs=0.001)
    assert float(scores["BLEU (0 to 100)"]) == pytest.approx(last["bleu"], abs=0.06)
    assert page.ask("document.querySelectorAll('#pairs td').length") == 4
    assert page.ask("document.querySelector('#pairs td.here').textContent") == scores["Token F1"]
    assert page.problems == []


def longest_common(one: list[int], other: list[int]) -> int:
    """Length of the longest common sequence, by trying both ways at each difference."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest_common(one[1:], other[1:])
    return max(longest_common(one[1:], other), longest_common(one, other[1:]))


def test_keys_walk_through_the_passages_in_the_order_of_surprise(page, rows):
    order = rows["passage_id"].tolist()
    tab_to(page, "scatter")
    assert page.ask("getComputedStyle(canvas).outlineStyle") != "none"
    for key, place in (("Home", 0), ("ArrowRight", 1), ("PageUp", 11), ("ArrowLeft", 10), ("PageDown", 0), ("End", -1)):
        page.key(key)
        assert name(page) == order[place]
    told = page.ask("canvas.getAttribute('aria-valuetext')")
    assert told.startswith(f"10000 of 10000, {order[-1]}: surprise {rows['encoder_nll'].iloc[-1]:.2f}, Token F1 ")
    page.key("Tab")
    assert page.ask("document.activeElement.id") != "scatter"  # no trap
    assert page.problems == []


def test_every_control_has_a_name_for_those_who_do_not_see_it(page):
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in tree if "name" in node]
    selects = [name for role, name in named if role == "combobox"]
    assert len(selects) == len(set(selects)) == 6
    assert all(selects)
    assert ("slider", "Passages in the order of surprise") in named


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_scrolling_sideways(page, scheme, tmp_path):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Emulation.setDeviceMetricsOverride", width=340, height=800, deviceScaleFactor=2, mobile=True)
    try:
        page.until("canvas.width === 2 * canvas.clientWidth")
        assert page.ask("document.documentElement.scrollWidth") <= 340
        dark = page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(23, 25, 28)"
        assert dark == (scheme == "dark")
        page.picture(tmp_path / "narrow.png")
        assert (tmp_path / "narrow.png").stat().st_size > 10_000
        assert page.problems == []
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")
        page.call("Emulation.setEmulatedMedia", features=[])
