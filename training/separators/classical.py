"""Blind separation without training: repetition similarity and harmonic against percussive, by librosa."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]
RATE_HZ = 44_100
N_FFT, HOP = 2048, 512
STEMS = ("vocals", "drums", "bass", "other")
_BASS_HZ = 220.0


def separate(mix: Wave, stem: str, power: float = 2.0) -> Wave:
    """Pull one stem out of a mix.

    Vocals are what does not repeat (soft mask against a nearest-neighbour filter of the spectrogram), drums the
    percussive part of a median filtering, bass the harmonic part below 220 Hz, anything else the harmonic part
    above.

    Args:
        mix: float32 (n, 2) at 44.1 kHz.
        stem: one of :data:`STEMS`; another name counts as ``other``.
        power: exponent of the mask, 1 soft to 8 nearly binary.

    Returns:
        float32 (n, 2).

    Source: Z. Rafii and B. Pardo, Music/voice separation using the similarity matrix, ISMIR 2012; D. FitzGerald,
    Harmonic/percussive separation using median filtering, DAFx 2010.
    """
    spectrum = librosa.stft(np.ascontiguousarray(mix.T), n_fft=N_FFT, hop_length=HOP)
    magnitude = np.abs(spectrum).mean(axis=0)
    if stem == "vocals":
        mask = _not_repeating(magnitude, power)
    else:
        harmonic, percussive = librosa.decompose.hpss(magnitude, mask=True, power=power, kernel_size=31)
        mask = percussive if stem == "drums" else harmonic
        if stem != "drums":
            below = (librosa.fft_frequencies(sr=RATE_HZ, n_fft=N_FFT) < _BASS_HZ)[:, None]
            mask = mask * (below if stem == "bass" else ~below)
    out = librosa.istft(spectrum * mask, hop_length=HOP, n_fft=N_FFT, length=len(mix))
    return np.ascontiguousarray(out.T, dtype=np.float32)


def _not_repeating(magnitude: npt.NDArray[np.float32], power: float) -> npt.NDArray[np.float32]:
    width = max(2, min(int(librosa.time_to_frames(2, sr=RATE_HZ, hop_length=HOP)), (magnitude.shape[1] - 1) // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repeating = librosa.decompose.nn_filter(magnitude, aggregate=np.median, metric="cosine", width=width)
    repeating = np.minimum(magnitude, repeating)
    mask = librosa.util.softmask(magnitude - repeating, 5 * repeating, power=power)
    low = librosa.fft_frequencies(sr=RATE_HZ, n_fft=N_FFT) < 90.0
    mask[low] *= 0.1
    return np.asarray(mask, np.float32)
