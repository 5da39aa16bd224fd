"""Schemas of the entropy room's tables."""

from __future__ import annotations

import pyarrow as pa

from contextpress.runtime.tables import required

TOKEN_SCORES = pa.schema(
    [
        required("passage_id", pa.string()),
        required("position", pa.int32()),
        required("token_id", pa.int32()),
        required("nll", pa.float32()),  # -ln p(token | tokens before it), nats
        required("predictive_entropy", pa.float32()),  # Shannon entropy of the predicted distribution, nats
        required("rank", pa.int32()),  # 1 = the model's first choice
    ]
)

PASSAGE_SCORES = pa.schema(
    [
        required("passage_id", pa.string()),
        required("model", pa.string()),
        required("nll", pa.float64()),  # mean over tokens, nats per token
        required("bits_per_byte", pa.float64()),
        required("predictive_entropy", pa.float64()),  # mean over tokens, nats per token
        required("top1", pa.float64()),  # share of tokens that are the model's first choice
        required("bucket", pa.int32()),  # quantile bucket of nll among the model's normal test passages, from 0
    ]
)

MODEL_FREE = pa.schema(
    [
        required("passage_id", pa.string()),
        required("unigram_entropy", pa.float64()),  # nats per token under the training split's unigram counts
        required("zlib_bits_per_byte", pa.float64()),
    ]
)

GAP = pa.schema(
    [
        required("encoder", pa.string()),
        required("decoder", pa.string()),
        required("seed", pa.int32()),
        pa.field("design", pa.float64()),  # |replaced share of encoder's data - of decoder's|, 0 to 1
        pa.field("kl_encoder_decoder", pa.float64()),  # mean token KL(p_E || p_D), nats; empty: other tokenizer
        pa.field("kl_decoder_encoder", pa.float64()),
        pa.field("entropy_difference", pa.float64()),  # mean H_D - H_E on the probe set, nats per token; empty likewise
    ]
)
# Of a study whose models have several tokenizers: beside them why a measure is empty.
GAP_OF_SEVERAL = GAP.append(pa.field("not_available", pa.string()))
