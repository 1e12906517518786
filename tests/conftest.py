"""What tests share: models, the corpus where it lies beside the repository, and one thread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import provenance
from tests import tiny

ROOT = Path(__file__).resolve().parent.parent
CORPUS = Path(os.environ.get("STEM_CORPUS", ROOT.parent / "shared" / "corpus"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model that has every head."""
    return tiny.write(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def scorer(tiny_model: Path) -> provenance.Scorer:
    """A scorer with the tiny model: for what does not depend on a model's skill."""
    return provenance.load(tiny_model)


@pytest.fixture(scope="session")
def shipped() -> provenance.Scorer:
    """A scorer with the model that the package ships."""
    return provenance.load()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The labelled corpus, for tests with the marker ``corpus``."""
    if not (CORPUS / "manifest.csv").is_file():
        pytest.skip(f"no corpus beside the repository ({CORPUS.name}/manifest.csv); set STEM_CORPUS to its folder")
    return CORPUS


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
