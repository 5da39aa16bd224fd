"""Markdown as a page for a browser, with its figures inside: nothing is loaded, from the folder or from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = Path(__file__).with_name("page.css")


def page(title: str, text: str, drawings: Mapping[str, bytes] | None = None) -> str:
    """A whole page.

    Args:
        title: of the browser's tab.
        text: Markdown.
        drawings: SVG by the stem of the file that an image of ``text`` names.

    Raises:
        KeyError: if an image has no drawing.
    """
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n{fragment(text, drawings)}</body>\n</html>\n"
    )


def fragment(text: str, drawings: Mapping[str, bytes] | None = None) -> str:
    """The body of a page; arguments as of ``page``."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        for part in token.children or ():
            if part.type == "image":
                drawing = (drawings or {})[Path(str(part.attrs["src"])).stem]
                part.attrs["src"] = f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
    return str(markdown.renderer.render(tokens, markdown.options, {}))
