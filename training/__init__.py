"""From a manifest of labelled clips to a model folder that :mod:`provenance` loads."""
