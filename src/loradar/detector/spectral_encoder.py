"""``loradar-spectral`` as a speech encoder: waveforms in."""

from __future__ import annotations

from torch import Tensor, nn

from loradar.detector.front_end import valid_samples
from loradar.detector.log_spectrum import HOP, LogSpectrum, spectra_of
from loradar.detector.spectrogram_cnn import mask_spectrogram
from loradar.detector.waveform_encoder import StackEncoder


class SpectralEncoder(StackEncoder):
    """``SpectralNetwork``; its projections are ``q_proj``, ``k_proj``, ``v_proj``, ``out_proj``.

    Attributes
    ----------
    spec_augment : bool
        In training, set random strips of the spectrogram to zero.
    """

    supports_padding = True
    feature_encoder = ("stem", "feature_projection")

    def __init__(self, model: nn.Module, layers: int | None, *, learned_mix: bool) -> None:
        super().__init__(model, layers, learned_mix=learned_mix)
        self.spectrum = LogSpectrum()
        self.hop = self.model.config.frame_spectra * HOP
        self.spec_augment = False

    def frames(self, samples: int) -> int:
        """Return the frames that so many samples give."""
        return int(self.model.stem.frames(spectra_of(samples)))

    def freeze_feature_encoder(self) -> None:
        """Freeze the convolutional stem."""
        self.model.freeze_stem()

    def inputs(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the log spectrogram [B, T, 224] and which spectra [B, T] are valid."""
        spectrum = self.spectrum(waveforms, lengths)
        if self.training and self.spec_augment:
            # Here, since a model whose own weights are fixed stays in evaluation.
            spectrum = mask_spectrogram(spectrum.transpose(1, 2)).transpose(1, 2)
        if lengths is None:
            return spectrum, None
        return spectrum, valid_samples(spectra_of(lengths), spectrum.shape[1])
