"""What the tests of the claims should find in a simulated study: its estimands in closed form.

Within a domain everything is Gaussian, so that a rank correlation is that of Pearson (1907),
rho = 6 / pi arcsin(r / 2), and a partial rank correlation follows from the matrix of rank correlations.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from contextpress.analysis.panel import Array
from contextpress.analysis.simulate import Study, covariance_of_views, variance_of_view


def truth(study: Study) -> dict[str, float]:
    """The effect of each claim: C1, mean Spearman correlation within domain; C2, partial one; C3, slope per sixth."""
    found = []
    for encoder, decoder in itertools.product(study.encoders, study.decoders):
        ranks = 6 / np.pi * np.arcsin(_correlations(study, encoder, decoder) / 2)
        np.fill_diagonal(ranks, 1.0)
        marginal, with_decoder, both = ranks[0, 2], ranks[1, 2], ranks[0, 1]
        partial = (with_decoder - marginal * both) / math.sqrt((1 - marginal**2) * (1 - both**2))
        found.append((marginal, partial))
    one, two = np.mean(found, axis=0)
    return {"C1": float(one), "C2": float(two), "C3": study.gap_slope}


def at_the_bound(study: Study, bound: float) -> Study:
    """The study with such a ``shared_slope`` that the partial correlation of C2 is ``-bound``, and the swap's is 0."""
    reach = study.document_noise + study.passage_noise + study.residual_noise
    slope = brentq(lambda value: truth(replace(study, shared_slope=value))["C2"] + bound, -reach, 0.0)
    return replace(study, shared_slope=float(slope))


def _correlations(study: Study, encoder: int, decoder: int) -> Array:
    """[3, 3] of encoder entropy, decoder entropy and quality within domain, for one pair."""
    # Covariances of the encoder's view, the decoder's and the mean of all decoders', which holds the decoder's.
    general = covariance_of_views(study, [decoder], study.decoders) + study.own_view**2 / len(study.decoders)
    views = np.array(
        [
            [variance_of_view(study, [encoder]), covariance_of_views(study, [encoder], [decoder]), 0.0],
            [0.0, variance_of_view(study, [decoder]), general],
            [0.0, 0.0, variance_of_view(study, study.decoders)],
        ]
    )
    views[0, 2] = covariance_of_views(study, [encoder], study.decoders)
    views = np.triu(views) + np.triu(views, 1).T
    sizes = np.sqrt(np.diag(views))
    slopes = np.array([study.encoder_slope, study.decoder_slope, study.shared_slope]) / sizes
    # What differs between training runs adds to the variance of quality (three runs, two views), to no covariance.
    noise = study.document_noise**2 + study.passage_noise**2 + study.residual_noise**2 + 6 * study.view_noise**2
    with_quality = views @ slopes
    variance = float(slopes @ with_quality) + noise
    both = views[0, 1] / (sizes[0] * sizes[1])
    one, two = with_quality[:2] / sizes[:2] / math.sqrt(variance)
    return np.array([[1.0, both, one], [both, 1.0, two], [one, two, 1.0]])
