"""Reading audio, cutting windows, augmenting."""

from loradar.audio.decoders import AudioInfo
from loradar.audio.reading import load_audio, probe
from loradar.audio.windows import centre_crop, crop, fit_length, tile_repeat, windows

__all__ = [
    "AudioInfo",
    "centre_crop",
    "crop",
    "fit_length",
    "load_audio",
    "probe",
    "tile_repeat",
    "windows",
]
