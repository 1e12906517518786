"""What tests of training share: small heads and networks, fitted once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training import fitted
from training.heads import Trees
from training.texture_net import Ensemble


@pytest.fixture(scope="session")
def features() -> np.ndarray:
    """Rows with plateaus and far values, as texture statistics have them."""
    return fitted.make_rows()


@pytest.fixture(scope="session")
def trees(features: np.ndarray) -> Trees:
    """Trees of every head, fitted on labels that the rows explain."""
    return fitted.fit_trees(features)


@pytest.fixture(scope="session")
def net() -> Ensemble:
    """Two networks with batch norms that have seen data, in evaluation mode."""
    return fitted.make_net()


@pytest.fixture(scope="session")
def onset_net() -> Ensemble:
    """Two networks over onsets, as above."""
    return fitted.make_onset_net()
