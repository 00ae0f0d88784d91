"""Small neural vocoders and codecs at 16 kHz, trained by ``loradar vocoder train``."""
