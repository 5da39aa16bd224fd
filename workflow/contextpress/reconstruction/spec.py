"""What a reconstruction table depends on, beside its compressor and passages."""

from __future__ import annotations

from pydantic import Field

from contextpress.runtime.spec import Spec, Whole


class ReconstructionSpec(Spec):
    """How passages are reconstructed."""

    batch: Whole = Field(240, gt=0, description="passages decoded side by side; bounds the memory needed")
