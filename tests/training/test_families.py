"""Names separators go by in the wild, and which are one family: a sibling in training makes none unseen."""

from __future__ import annotations

import pytest

from training.families import family_of, is_listed


@pytest.mark.parametrize(
    ("name", "kind", "separators"),
    [
        ("tfc-tdf", "complex_mask", ["mdx", "mdx-net", "mdx23c", "Kim-Vocal-2", "uvr-mdx-net-9662"]),
        ("vr", "spectrogram_mask", ["uvr-vr-5hp", "uvr vr 17_hp-wind_inst"]),
        (
            "diffusion",
            "waveform",
            ["basis-ncsn", "unet+consistency-distilled cd_1_step", "unet-consistency-separation"],
        ),
        ("u-net", "spectrogram_mask", ["unet", "unet-stft", "conditioned-u-net", "unet (petermann)"]),
        ("mad-twinnet", "spectrogram_mask", ["mad-twinnet-mimilakis", "gru-ris-l", "gru skip-filter (mimilakis)"]),
        ("subband-unet", "complex_mask", ["unet-cws", "resunet143", "resunetdecouple+-vocemb4svs"]),
        ("open-unmix", "spectrogram_mask", ["umx", "blstm-uhlich", "blend-takahashi-uhlich"]),
        ("uhlich-dnn", "spectrogram_mask", ["dnn-uhlich", "uhl3 (uhlich)"]),
        ("lalal", "unknown", ["lalal", "lalal.ai"]),
        ("classical", "classical", ["kam-liutkus", "fasst-ozerov", "nmf"]),
        ("demucs", "hybrid", ["mdx_extra", "mdx_extra_q", "mdx_q", "mdx-q", "demucs-mdx", "hybrid_demucs"]),
        ("tfc-tdf", "complex_mask", ["mdx_net", "tfc_tdf_net", "kim_vocal_1", "UVR_MDXNET_KARA_2"]),
        ("open-unmix", "spectrogram_mask", ["open_unmix", "umxl", "xumx_slicq", "x-umx"]),
        ("wave-u-net", "waveform", ["wave_u_net", "waveunet"]),
        ("band-split", "transformer", ["band_split_rnn", "bs_rnn", "melband", "model_bs_roformer_ep_317"]),
        ("vr", "spectrogram_mask", ["5_HP-Karaoke-UVR", "2_HP-UVR", "UVR-DeNoise", "UVR-De-Echo-Normal"]),
    ],
)
def test_siblings_share_a_family(name: str, kind: str, separators: list[str]) -> None:
    assert {(family_of(s).name, family_of(s).kind) for s in separators} == {(name, kind)}


def test_mdx_extra_is_a_demucs_and_a_name_nobody_knows_is_its_own_family() -> None:
    assert family_of("demucs mdx_extra_q").name == "demucs"
    assert family_of("Somebody's Own").name == "somebody's own"
    assert family_of("unet-372").name == "unet-372"
    assert family_of("my_net").name == "my_net"
    assert is_listed(family_of("spleeter:2stems"))
    assert not is_listed(family_of("my_net"))
