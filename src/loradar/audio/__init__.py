"""Reading audio, cutting windows, augmenting."""

from loradar.audio.decoders import AudioInfo
from loradar.audio.reading import load_audio, probe
from loradar.audio.windows import crop, tile_repeat, windows

__all__ = [
    "AudioInfo",
    "crop",
    "load_audio",
    "probe",
    "tile_repeat",
    "windows",
]
