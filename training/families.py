"""Separator families: which separators share an architecture, and of which kind it is."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A separator's family.

    Args:
        name: separators of one family share an architecture or an author's code, and never lie in two folds.
        kind: ``waveform``, ``hybrid``, ``spectrogram_mask``, ``complex_mask``, ``transformer``, ``classical`` or
            ``unknown``.
    """

    name: str
    kind: str


_RULES: tuple[tuple[str, str, str], ...] = (
    (r"htdemucs|hdemucs|hybrid.demucs|demucs[- ]mdx|mdx[-_]extra|mdx[-_]q$|freemusicdemixer", "demucs", "hybrid"),
    (r"demucs", "demucs", "waveform"),
    (r"spleeter", "spleeter", "spectrogram_mask"),
    (
        r"open-?unmix|^(x-?)?umx|blstm-uhlich|mmdense|d3net|sisec18-uhl|blend-takahashi",
        "open-unmix",
        "spectrogram_mask",
    ),  # one group
    (r"wave-?u-?net|^wavenet", "wave-u-net", "waveform"),
    (r"tasnet|medleyvox|sarkar", "tasnet", "waveform"),
    (r"tdc[-_]unet|lasaft|lightsaft|amss", "tdc-unet", "complex_mask"),
    (
        r"cws[-_]mdensenet|(unet|mdensenet)-cws|mobilenet-subbandtime|resunet143|resunetdecouple|audiosep",
        "subband-unet",
        "complex_mask",
    ),
    (r"scnet", "scnet", "complex_mask"),
    (r"^uvr[- ]vr|^\d+_\d?hp\w*-|^uvr-de-?(noise|echo|reverb)", "vr", "spectrogram_mask"),
    (r"diffusion-sep|unet.*consistency|basis-ncsn", "diffusion", "waveform"),
    (r"satb-unet", "satb-unet", "spectrogram_mask"),
    (r"^msi\b", "msi", "spectrogram_mask"),
    (r"deepconvsep", "deepconvsep", "spectrogram_mask"),
    (r"tfc-?tdf|mdx-?net|^mdx$|mdx23c|kim-vocal|kuielab", "tfc-tdf", "complex_mask"),
    (r"drnn", "drnn", "spectrogram_mask"),
    (r"roformer|bs-?rnn|band-?split|mel-?band", "band-split", "transformer"),
    (r"tiger|tfgnet|unmixx", "tiger", "transformer"),
    (r"grais", "grais-dnn", "spectrogram_mask"),
    (r"^rnn-svs", "rnn-svs", "spectrogram_mask"),
    (r"cnn-drumsep|ideal-binary", "drumsep", "spectrogram_mask"),
    (r"mask-u-net", "mask-u-net", "spectrogram_mask"),
    (r"gbastas", "gbastas", "spectrogram_mask"),
    (
        r"rpca|nmf|hpss|\bica\b|driedger|1pass|2pass|elmestizo|\bkam\b|fasst|mfcqt|mflinear|repet|kernel-additive|cepstromarg|archetypal|ilrma|idlma",
        "classical",
        "classical",
    ),
    (r"^liu-yang", "liu-yang-dae", "spectrogram_mask"),
    (r"mad-twinnet|masker-denoiser|gru skip-filter|gru-ris", "mad-twinnet", "spectrogram_mask"),
    (r"nugraha", "nugraha-dnn", "spectrogram_mask"),
    (r"u-net", "u-net", "spectrogram_mask"),
    (r"blstm", "blstm-mask", "spectrogram_mask"),
    (r"^cdae", "cdae", "spectrogram_mask"),
    (r"^cerberus", "cerberus", "spectrogram_mask"),
    (r"complex-mtassnet", "complex-mtassnet", "complex_mask"),
    (r"^fcn$", "fcn", "spectrogram_mask"),
    (r"^unet-372", "unet-372", "spectrogram_mask"),
    (r"^dae-skip", "dae-skip-mir1k", "spectrogram_mask"),
    (r"acapellabot", "acapellabot", "spectrogram_mask"),
    (r"deepfilter", "deepfilternet", "complex_mask"),
    (r"petermann", "u-net", "spectrogram_mask"),
    (r"^dnn-uhlich|^uhl3", "uhlich-dnn", "spectrogram_mask"),
    (r"^cfm-|common fate", "common-fate", "unknown"),
    (r"^lalal", "lalal", "unknown"),
    (r"^resynth", "resynth", "unknown"),
    (r"^unet\b", "u-net", "spectrogram_mask"),
    (r"^surrogate", "surrogate", "spectrogram_mask"),
)
_ORACLE = re.compile(r"ideal-binary|instglow|msdm|mge-ldm|msg-ld|rl_singing|resynth|rave|jukebox|lqvae", re.IGNORECASE)


def family_of(separator: str) -> Family:
    """Return the family of a separator by its name; one nobody listed is a family of its own.

    An underscore reads as a hyphen, for files are named with either.

    >>> family_of("htdemucs_ft")
    Family(name='demucs', kind='hybrid')
    >>> family_of("somebody's").kind
    'unknown'
    """
    for spelling in (separator.lower(), separator.lower().replace("_", "-")):
        for pattern, name, kind in _RULES:
            if re.search(pattern, spelling):
                return Family(name, kind)
    return Family(separator.lower() or "unknown", "unknown")


def is_listed(family: Family) -> bool:
    """Whether a family is one of those whose separators are known by their names.

    Args:
        family: of a separator.
    """
    return family.name in {name for _, name, _ in _RULES}


def is_near_oracle(separator: str, note: str) -> bool:
    """Whether an output is no blind separation (oracle mask, vocoder, resynthesis), to be reported apart."""
    return bool(_ORACLE.search(separator)) or ("near-oracle" in note and "rec =" in note)
