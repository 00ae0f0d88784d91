"""The losses of vocoder training: spectral, adversarial, feature matching."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from loradar.vocoders.neural.mel import LogMel, stft

_RESOLUTIONS = (256, 512, 1024, 2048)


class SpectralLoss(nn.Module):
    """Multi-resolution STFT loss plus log-mel distances.

    Of each resolution: spectral convergence and the mean absolute difference of log magnitudes
    (Yamamoto, Song and Kim 2020, "Parallel WaveGAN", eqs. 4 to 6). Then the mean absolute
    difference of log-mel spectrograms at two resolutions (HiFi-GAN, eq. 5), which counts most.

    Parameters
    ----------
    mel_weight : float
        Of the log-mel part against the STFT part.
    """

    def __init__(self, mel_weight: float = 3.0) -> None:
        super().__init__()
        self.mel_weight = mel_weight
        self.mels = nn.ModuleList(
            [LogMel(80, 1024, 256, 1024), LogMel(40, 512, 128, 512)],
        )
        for size in _RESOLUTIONS:
            self.register_buffer(f"taper_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Compare waveforms [B, T]: ``stft`` and ``mel``, both []; ``mel`` carries its weight."""
        parts = [self._resolution(made, real, size) for size in _RESOLUTIONS]
        distances = [mel_distance(mel, made, real) for mel in self.mels]
        return {
            "stft": torch.stack(parts).mean(),
            "mel": self.mel_weight * torch.stack(distances).mean(),
        }

    def _resolution(self, made: Tensor, real: Tensor, size: int) -> Tensor:
        taper = self.get_buffer(f"taper_{size}")
        ours, theirs = (_magnitude(x, size, taper) for x in (made, real))
        convergence = torch.linalg.vector_norm(theirs - ours) / torch.linalg.vector_norm(
            theirs
        ).clamp_min(1e-5)
        difference: Tensor = convergence + (theirs.log() - ours.log()).abs().mean()
        return difference


def mel_distance(mel: nn.Module, made: Tensor, real: Tensor) -> Tensor:
    """Return the mean absolute difference [] of log-mel spectrograms of waveforms [B, T]."""
    with torch.no_grad():
        wanted = mel(real)
    distance: Tensor = (mel(made) - wanted).abs().mean()
    return distance


def discriminator_loss(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """Least-squares loss of the discriminators (Mao et al. 2017), averaged over them."""
    parts = [
        (1.0 - a[-1].float()).square().mean() + b[-1].float().square().mean()
        for a, b in zip(real, made, strict=True)
    ]
    return torch.stack(parts).mean()


def adversarial_loss(made: list[list[Tensor]]) -> Tensor:
    """Least-squares loss of the generator, averaged over the discriminators."""
    return torch.stack([(1.0 - a[-1].float()).square().mean() for a in made]).mean()


def feature_loss(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """Mean absolute difference of inner activations, relative to their size in real speech.

    After Larsen et al. 2016 and MelGAN, eq. 4; relative, so that no layer outweighs the others.
    """
    parts = [
        (x.detach().float() - y.float()).abs().mean()
        / x.detach().float().abs().mean().clamp_min(1e-5)
        for a, b in zip(real, made, strict=True)
        for x, y in zip(a[:-1], b[:-1], strict=True)
    ]
    return torch.stack(parts).mean()


def _magnitude(waveform: Tensor, size: int, taper: Tensor) -> Tensor:
    spectrum = stft(waveform, size, size // 4, taper)
    power = spectrum.real.square() + spectrum.imag.square()
    return power.clamp_min(1e-8).sqrt()
