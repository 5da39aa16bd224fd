"""The passages table: fixed windows of tokens inside documents, and their control ladder."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import pyarrow as pa

from contextpress.runtime.tables import required
from contextpress.tokens.spec import Variant

# From most to least like the text a model was trained on (ICAE, arXiv 2307.06945, table 3; IC-Former, 2410.04524).
VARIANTS: tuple[Variant, ...] = get_args(Variant)

PASSAGES = pa.schema(
    [
        required("passage_id", pa.string()),  # "prose/000123:64", and "prose/000123:64/reversed" on the ladder
        required("document_id", pa.string()),
        required("domain", pa.string()),
        required("source", pa.string()),
        required("split", pa.string()),  # validation (probe set of the gap) or test (reconstructed and analysed)
        required("variant", pa.string()),  # one of VARIANTS
        required("start", pa.int32()),  # first token, counted in the document
        required("text", pa.string()),
        required("token_ids", pa.list_(pa.int32())),
        required("bytes", pa.int32()),  # of the text in UTF-8
        pa.field("entropy_rate", pa.float64()),  # nats per token, known in closed form; empty for natural text
    ]
)


def sampled(passages: pd.DataFrame) -> pd.Series:
    """Which rows are undisturbed passages that also come disturbed; all undisturbed ones, if none is disturbed.

    Args:
        passages: rows with ``passage_id`` and ``variant``.
    """
    normal = passages["variant"] == "normal"
    disturbed = {name.rpartition("/")[0] for name in passages.loc[~normal, "passage_id"].unique()}
    return normal & passages["passage_id"].isin(disturbed) if disturbed else normal
