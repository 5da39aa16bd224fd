"""A comparison of two studies: as a page that opens from its file, and as a few lines for a terminal.

All that comes from the studies is escaped, and their figures are shown as images, in which a browser runs nothing.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from contextpress.analysis.inference import Effect
from contextpress.report.comparison import (
    DRAWS,
    Difference,
    Qualities,
    changed_keys,
    compare_findings,
    compare_qualities,
)
from contextpress.report.markdown import columns, interval
from contextpress.report.spec import CLAIMS_OF_FIGURES
from contextpress.report.stored import Stored
from contextpress.runtime.errors import printable

LONGEST = 40  # characters of a value in a terminal
MOST = 20  # keys in a terminal
NONE = "–"
MEASURES = {"accuracy": "token accuracy", "token_f1": "token F1"}
CLAIMS = (
    "Differences are B less A, with 95 % intervals. They take the studies as independent: the standard error of each "
    "effect, as its own interval tells of it, is squared and added, and the degrees of freedom follow from both "
    "(Welch). Effects of different measures have no difference."
)
SHARED = (
    " That is not so here: {shared} documents are in both studies, and what they do to both effects does not cancel. "
    "As a rule the intervals of the claims are then too wide."
)
QUALITIES = (
    "Means over undisturbed passages, domains weighted equally: {domains}; of a pair, over the read-outs and ratios "
    "that both studies have. Intervals are 95 %: bootstrap of documents "
    "({draws:,} draws), in which a document that both studies have ({shared} of {one} in A and {two} in B) is drawn "
    "for both at once, and the scatter of training runs, which are taken as independent: models that both studies "
    "share make the intervals too wide. A study of one seed does not show its scatter; its intervals hold documents "
    "alone."
)
MARKED = "Bold: the interval leaves out zero. Intervals are not corrected for their number."


@dataclass(frozen=True)
class Comparison:
    """Two studies and how they differ.

    Attributes:
        one: study A.
        two: study B.
        keys: config keys that differ, with the values of both.
        made: what they were made with, where it differs.
        findings: by name, those that either has; an effect only where both give one.
        qualities: of the reconstructions.
    """

    one: Stored
    two: Stored
    keys: dict[str, tuple[str, str]]
    made: dict[str, tuple[str, str]]
    findings: dict[str, Difference | None]
    qualities: Qualities


def compare(one: Stored, two: Stored) -> Comparison:
    """Compare study A with study B."""
    findings: dict[str, Difference | None] = {}
    for name in dict.fromkeys([*one.findings, *two.findings]):
        both = name in one.findings and name in two.findings
        findings[name] = compare_findings(one.findings[name], two.findings[name]) if both else None
    made = {name: (one.made.get(name, ""), two.made.get(name, "")) for name in dict.fromkeys([*one.made, *two.made])}
    return Comparison(
        one,
        two,
        changed_keys(one.config, two.config),
        {name: values for name, values in made.items() if values[0] != values[1]},
        findings,
        compare_qualities(one.observations, two.observations),
    )


def lines(found: Comparison) -> list[str]:
    """The comparison for a terminal: keys, claims, and qualities by read-out and ratio."""
    told = [f"{letter}: {study.name} ({study.told})" for letter, study in (("A", found.one), ("B", found.two))]
    rows = [[key, *map(_cut, values)] for key, values in found.keys.items()]
    told += ["", *columns([["config key", "A", "B"], *rows[:MOST]])] if rows else ["", "no config key differs"]
    if len(rows) > MOST:
        told.append(f"and {len(rows) - MOST} keys more")
    head = ["finding", "A", "B", "B - A", "verdict A", "verdict B"]
    rows = [[name, *_numbers(difference), *_verdicts(found, name)] for name, difference in found.findings.items()]
    told += ["", *columns([head, *rows])]
    if shared := found.qualities.documents[2]:
        told.append(f"B - A of claims as if independent; {shared} documents are in both, so as a rule too wide")
    measured = [[_label(key), *_numbers(difference)] for key, difference in found.qualities.settings.items()]
    if measured:
        told += ["", *columns([["mean", "A", "B", "B - A"], *measured])]
    return [printable(line) for line in told]


def page(found: Comparison) -> str:
    """The comparison as one file of HTML without scripts."""
    shared = found.qualities.documents[2]
    keys = "No key differs." if not found.keys else _table(["key", "A", "B"], _pairs(found.keys))
    sections = {
        "Studies": _studies(found),
        "Config": keys,
        "Claims": _claims(found) + _note(CLAIMS + (SHARED.format(shared=shared) if shared else "")) + _note(MARKED),
        "Quality of reconstructions": _qualities(found.qualities),
        "Figures": _figures(found.one, found.two),
    }
    body = "\n".join(f"<h2>{title}</h2>\n{text}" for title, text in sections.items())
    title = f"Study {found.one.name} (A) and study {found.two.name} (B)"
    template = Path(__file__).with_name("comparison.html").read_text(encoding="utf-8")
    text = Template(template).substitute(title=html.escape(title), body=body)
    return text.encode("utf-8", "backslashreplace").decode()  # JSON can hold half a character


def _studies(found: Comparison) -> str:
    rows = [[_cell("read from"), _cell(found.one.told), _cell(found.two.told)], *_pairs(found.made)]
    note = (
        ""
        if found.made
        else _note("Both were made of the same source, with the same versions, on the same kind of device.")
    )
    return _table(["", f"A: {found.one.name}", f"B: {found.two.name}"], rows) + note


def _claims(found: Comparison) -> str:
    rows = []
    for name, difference in found.findings.items():
        known = [study.findings[name] for study in (found.one, found.two) if name in study.findings]
        said = " / ".join(dict.fromkeys(finding.statement or finding.question for finding in known))
        effects = " / ".join(dict.fromkeys(finding.effect_name for finding in known if finding.effect_name))
        what = f"<b>{html.escape(name)}</b> {html.escape(said)}<br><span class='note'>{html.escape(effects)}</span>"
        rows.append([f"<td>{what}</td>", *_values(difference), *map(_cell, _verdicts(found, name))])
    return _table(["finding", "A", "B", "B − A", "verdict A", "verdict B"], rows)


def _qualities(qualities: Qualities) -> str:
    if not qualities.settings:
        return _note("The studies have no domain in common, so their qualities are not of the same kind of text.")
    note = QUALITIES.format(
        domains=html.escape(", ".join(qualities.domains)),
        draws=DRAWS,
        shared=qualities.documents[2],
        one=qualities.documents[0],
        two=qualities.documents[1],
    )
    head = ["A", "B", "B − A"]
    parts = [
        _table([title, *head], [[_cell(_label(key)), *_values(difference)] for key, difference in table.items()])
        for title, table in (
            ("by read-out and ratio", qualities.settings),
            ("by pair, encoder → decoder", qualities.pairs),
        )
        if table
    ]
    return "\n".join([*parts, _note(note), _note(MARKED)])


def _figures(one: Stored, two: Stored) -> str:
    names = dict.fromkeys([*CLAIMS_OF_FIGURES, *one.figures, *two.figures])
    parts = []
    for name in names:
        if name in one.figures or name in two.figures:
            title = html.escape(name.replace("_", " "))
            cells = "".join(_figure(letter, study, name) for letter, study in (("A", one), ("B", two)))
            parts.append(f"<figure><figcaption><b>{title}</b></figcaption><div class='pair'>{cells}</div></figure>")
    return "\n".join(parts) or _note("Neither study has any.")


def _figure(letter: str, study: Stored, name: str) -> str:
    if name not in study.figures:
        return f"<div><p class='note'>{letter}: none of this name.</p></div>"
    figure = study.figures[name]
    data = base64.b64encode(figure.svg).decode()
    alt = html.escape(f"{name.replace('_', ' ')}, study {letter}", quote=True)
    caption = html.escape(" ".join(figure.caption.split()))
    image = f"<img alt='{alt}' src='data:image/svg+xml;base64,{data}'>"
    return f"<div>{image}<p class='note'>{letter}: {caption}</p></div>"


def _verdicts(found: Comparison, name: str) -> list[str]:
    said = [study.findings.get(name) for study in (found.one, found.two)]
    return [(finding.verdict or finding.answer or NONE) if finding else NONE for finding in said]


def _label(key: tuple[str, ...]) -> str:
    measure, first, second = key
    what = f"{first.replace('_', ' ')}, ratio {second}" if second.isdigit() else f"{first} → {second}"
    return f"{MEASURES[measure]}, {what}"


def _numbers(difference: Difference | None) -> list[str]:
    effects = (difference.one, difference.two, difference.difference) if difference else ()
    return [_told(effect) for effect in effects] or [NONE] * 3


def _told(effect: Effect) -> str:
    return NONE if effect.value != effect.value else interval(effect.value, effect.interval())


def _values(difference: Difference | None) -> list[str]:
    """Cells of A, B and the difference; bold where that is told from zero."""
    cells = [html.escape(text) for text in _numbers(difference)]
    low, high = difference.difference.interval() if difference else (None, None)
    if low is not None and high is not None and (low > 0 or high < 0):
        cells[-1] = f"<b>{cells[-1]}</b>"
    return [f"<td class='number'>{cell}</td>" for cell in cells]


def _pairs(values: Mapping[str, tuple[str, str]]) -> list[list[str]]:
    return [[_cell(name), *(_cell(value or NONE) for value in pair)] for name, pair in values.items()]


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in head)
    rest = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<div class='wide'><table>\n<thead><tr>{first}</tr></thead>\n<tbody>\n{rest}\n</tbody></table></div>\n"


def _note(text: str) -> str:
    return f"<p class='note'>{text}</p>\n"


def _cut(text: str) -> str:
    return (text if len(text) <= LONGEST else text[: LONGEST - 3] + "...") or NONE
