"""The guidelines as a page: what the paper advises, what the study measured of it, and where it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contextpress.report.markdown import bullets, interval, number, p_value, table

Finding = dict[str, Any]
INTRODUCTION = (
    "What the paper (arXiv 2602.01778) advises, as far as this study has measured it. Each effect is positive where "
    "the advice holds; its interval holds the error of documents and of training runs. Where an effect was seen is all "
    "that is known of where it holds."
)
# How a piece of advice is read as a number.
READ_AS = {
    "match_data": "Read as: quality is higher where encoder and decoder were pretrained on more of the same text. "
    "This is the slope of C3 with its sign turned, and judged as C3 is.",
    "decoder_first": "Read as: which decoder it is changes quality more than which encoder it is. Models that serve as "
    "both are exchanged on either side. Averaged over all pairs, to move the decoder to the encoder's data gains as "
    "much as to move the encoder to the decoder's, whatever the data: both end in matched pairs. So the mean gain of "
    "an exchange cannot tell the two apart, and its spread is compared.",
    "small_encoder": "Read as: of two pairs with as many weights in all, the one with the larger decoder reconstructs "
    "better.",
    "high_entropy": "Read as: within a domain, passages that surprise the encoder most are reconstructed worse than "
    "those that surprise it least.",
}
CARRIES_OVER = (
    "An effect was measured on the pairs, ratios, text and sizes named with it. Outside of them it may be larger, "
    "smaller, or gone.",
    "Advice that was not measured here is neither supported nor contradicted by this study.",
    "The budget that knows the gain of every passage beforehand is a bound and nothing that can be used; it holds the "
    "noise of single passages too.",
)


def compose(study: str, c4: Finding, budget: Finding) -> str:
    """The text: a table of all guidelines, one section for each, the memory budget, and how far this carries."""
    rows = [
        [
            one["advice"],
            interval(one["effect"], one["ci95"]),
            p_value(one["p_adjusted"]),
            f"{one['n']:,}",
            f"**{one['verdict']}**",
        ]
        for one in c4["guidelines"].values()
    ]
    gain = interval(budget["effect"], budget["ci95"])
    rows.append(
        [
            "Share out memory by the encoder's entropy (ours).",
            *(gain, p_value(budget["p_value"]), f"{budget['n']:,}", f"**{budget['verdict']}**"),
        ]
    )
    head = ["guideline", "effect [95 % interval]", "p adjusted", "n", "verdict"]
    parts = [
        f"# Guidelines of study {study}",
        INTRODUCTION,
        f"C4, *{c4['statement']}* **{c4['verdict'].capitalize()}**: {c4['reason']}.",
        table(head, rows, numbers=head[1:4]),
        f"n counts passages x compressors. p-values are corrected for the guidelines that were measured "
        f"({c4['family']['correction']}); that of the budget stands alone. {c4['rule']}",
        *(f"## {one['advice'].rstrip('.')}\n\n{_guideline(name, one)}" for name, one in c4["guidelines"].items()),
        f"## Share out memory by the encoder's entropy\n\n{_budget(budget)}",
        f"## How far this carries\n\n{bullets(CARRIES_OVER)}",
    ]
    return "\n\n".join(parts) + "\n"


def _guideline(name: str, found: Finding) -> str:
    if found["range"] is None:
        parts = [READ_AS[name], f"**{found['verdict'].capitalize()}**: {found['reason']}."]
    else:
        rows = [[what, _said(value)] for what, value in found["beside"].items()]
        seen = [f"{what}: {_seen(value)}" for what, value in found["range"].items()]
        parts = [READ_AS[name], _head(found), table(["beside it", "[95 % interval]"], rows)]
        parts += ["Seen with:", bullets(seen)]
    arms = found["share_of_gap_closed_beyond_longer_training"]
    if arms:
        head = ["of the arms of this study", "share of the gap closed beyond longer training", "verdict"]
        rows = [[arm.replace("_", " "), _said(told), told["verdict"]] for arm, told in arms.items()]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def _budget(found: Finding) -> str:
    details = found["details"]
    read = f"*{found['statement']}*"
    if found["verdict"] == "not available":
        return f"{read}\n\n**Not available**: {found['reason']}."
    rows = [
        [
            way,
            interval(quality["value"], quality["ci95"]),
            number(details["quality_per_vector"][way]["value"]),
            _said(details["gain"].get(way)) if way in details["gain"] else "",
        ]
        for way, quality in details["quality"].items()
    ]
    sizes = " or ".join(str(size) for size in details["vectors_on_offer"])
    measure = found["hypothesis"]["measure"]
    given = ", ".join(f"{size} to {100 * share:.0f} %" for size, share in details["share_given"].items())
    where = (
        f"At {details['budget']:g} vectors per passage on average, {sizes} to each ({details['banks']} banks of "
        f"compressors); encoder entropy gives {given} of the passages."
    )
    less = details["entropy_less"]
    against = [f"less {way}: {_said(value)}" for way, value in less.items()]
    domains = [["within domain, mean", _said(details["within_domain"])]]
    domains += [[name, _said(value)] for name, value in details["domains"].items()]
    budgets = [[f"{name} vectors", _said(value)] for name, value in details["budgets"].items()]
    drawn = details["random_orders"]
    parts = [
        read,
        _head(found),
        where,
        table(["shared out by", measure, "per vector", "gain over uniform"], rows),
        "Encoder entropy against the other ways, at equal total memory:",
        bullets(against),
        f"Of {drawn['drawn']} random orders the best reaches {number(drawn['highest'])}. Gain of encoder entropy by "
        "domain, with a total for each, and over all passages by budget:",
        table(["gain over uniform", "[95 % interval]"], [*domains, *budgets]),
        found["note"],
    ]
    return "\n\n".join(parts)


def _head(found: Finding) -> str:
    return (
        f"**{found['verdict'].capitalize()}**: {found['reason']}. Effect {interval(found['effect'], found['ci95'])} "
        f"({found['effect_name']}); n = {found['n']:,} passages x compressors, {found['clusters']:,} clusters."
    )


def _said(found: Finding | None) -> str:
    return interval(found.get("value"), found.get("ci95") or []) if found else "not known"


def _seen(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) == 2 and all(isinstance(one, float) for one in value):
            return f"{value[0]:g} to {value[1]:g}" if value[0] != value[1] else f"{value[0]:g}"
        return ", ".join(f"{one:,.0f}" if isinstance(one, float) else str(one) for one in value)
    return str(value)
