import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import firwin

from loradar.detector.windowed_sinc import windowed_sinc


@given(
    half=st.integers(1, 600),
    low=st.floats(10, 7_000),
    width=st.floats(20, 900),
    kind=st.sampled_from(["highpass", "bandpass"]),
)
def test_equals_scipy(half, low, width, kind):
    taps = 2 * half + 1
    edges = [low, low + width] if kind == "bandpass" else [low]
    expected = firwin(taps, edges, pass_zero=kind, fs=16_000)
    found = windowed_sinc(taps, edges, kind, 16_000)
    # A band far narrower than a short filter can tell is scaled up by much, rounding with it.
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()


def test_an_even_number_of_taps_is_refused():
    with pytest.raises(ValueError, match="must be odd"):
        windowed_sinc(4, [100.0], "highpass", 16_000)
