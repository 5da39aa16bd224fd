"""The table of the study: one row per passage x encoder x decoder x read-out x ratio x seed."""

from __future__ import annotations

import pyarrow as pa

from contextpress.reconstruction.table import MEASURES, OF_SAMPLE
from contextpress.runtime.tables import required

CONTROLS = ("zeroed", "shuffled", "truncated")

OBSERVATIONS = pa.schema(
    [
        required("passage_id", pa.string()),
        required("document_id", pa.string()),
        required("domain", pa.string()),
        required("source", pa.string()),
        required("variant", pa.string()),  # of the control ladder; "normal" except in the ladder's own sample
        required("encoder", pa.string()),  # names of models in the config, such as D1
        required("decoder", pa.string()),
        required("readout", pa.string()),
        required("ratio", pa.int32()),
        required("seed", pa.int32()),
        required("decoder_training", pa.string()),  # frozen, lora or full
        required("memory_used", pa.bool_()),  # of the compressor: real memory clearly beats shuffled memory
        pa.field("encoder_replaced", pa.float64()),  # share of natural text replaced, 0 to 1; empty: not from a mixture
        pa.field("decoder_replaced", pa.float64()),
        pa.field("gap_design", pa.float64()),
        pa.field("gap_kl_encoder_decoder", pa.float64()),
        pa.field("gap_kl_decoder_encoder", pa.float64()),
        pa.field("gap_entropy_difference", pa.float64()),
        required("tokens", pa.int32()),
        required("bytes", pa.int32()),
        pa.field("entropy_rate", pa.float64()),  # nats per token, closed form; empty for natural text
        required("unigram_entropy", pa.float64()),
        required("zlib_bits_per_byte", pa.float64()),
        *(
            required(f"{side}_{name}", pa.float64())
            for side in ("encoder", "decoder")
            for name in ("nll", "bits_per_byte", "predictive_entropy")
        ),
        required("encoder_bucket", pa.int32()),
        required("decoder_bucket", pa.int32()),
        *(required(name, pa.float64()) for name in MEASURES),  # with the passage's own memory
        required("information_retained", pa.float64()),  # 1 - nll / decoder_nll
        *(  # zeroed and truncated: empty outside a sample of the undisturbed passages
            pa.field(f"{name}_{control}", pa.float64(), nullable=control in OF_SAMPLE)
            for control in CONTROLS
            for name in MEASURES
        ),
    ]
)
