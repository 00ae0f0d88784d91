import io

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from PIL import Image

from loradar.errors import ConfigError
from loradar.evaluation.fitting import fit_by
from loradar.evaluation.reporting.clips import worst_clips
from loradar.evaluation.reporting.figures import attack_bars, expert_maps, histogram
from loradar.evaluation.reporting.page import sections
from loradar.evaluation.reporting.summary import summary
from loradar.evaluation.reporting.systems import System, best


def _trials(size=300, shift=2.0, seed=0):
    rng = np.random.default_rng(seed)
    real = np.arange(size) % 3 == 0
    attack = np.where(real, "", np.where(np.arange(size) % 3 == 1, "A1", "A2"))
    own = np.where(attack == "A2", -0.5, np.where(real, shift, -shift))
    return pd.DataFrame(
        {
            "path": [f"{i}.wav" for i in range(size)],
            "label": np.where(real, "bonafide", "spoof"),
            "attack": attack,
            "score": rng.normal(size=size) + own,
        }
    )


def _system(name="one", resamples=10, **kinds):
    return System.of(name, _trials(**kinds), resamples=resamples)


def test_the_summary_is_plain_and_cautious():
    good, bad = _system("good", shift=3.0), _system("bad", shift=0.2)
    assert best([bad, good]) is good
    section = summary([bad, good])
    text = " ".join(section.text)
    assert "Of 2 systems good makes the fewest mistakes." in text
    assert "may be chance" not in text
    assert "may be chance" in " ".join(summary([good, _system("twin", shift=2.9)]).text)
    assert "for A1 and" in text
    assert "not calibrated" in text
    assert "Few recordings" not in text
    assert section.facts[0].label == "equal error rate"
    few = _trials(60)
    few.loc[:5, "score"] = np.nan
    text = " ".join(summary([System.of("few", few, resamples=0)]).text)
    assert "Few recordings" in text
    assert "6 recordings (10.0 %) have no score" in text


def test_probabilities_are_judged_by_what_they_cost():
    trials = _trials()
    fitted = fit_by("isotonic", trials["score"], trials["label"] == "bonafide")
    honest = trials.assign(llr=fitted.llr(trials["score"]))
    bold = trials.assign(llr=20 * trials["score"] + 9)
    for table, said in ((honest, "can be read as they are"), (bold, "mislead")):
        assert said in " ".join(summary([System.of("x", table, resamples=0)]).text)


def test_figures_show_every_attack_and_refuse_nothing_at_all():
    bars = attack_bars(
        {"a": {"A1": (0.1, (0.05, 0.2)), "A2": (0.3, None)}, "b": {"A1": (0.2, None)}}
    )
    axes = bars.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A2", "A1"]  # hardest first
    assert sorted(bar.get_width() for bar in axes.patches) == pytest.approx([10, 20, 30])
    with pytest.raises(ConfigError, match="at least one system"):
        attack_bars({})
    figure = histogram((np.array([1.0, 1.0]), np.array([1.0])))
    shares = [stairs.get_data().values.sum() for stairs in figure.axes[0].patches[::2]]
    assert shares == pytest.approx([100, 100])


def test_expert_maps_are_means_by_attack():
    trials = _trials(30).assign(**{"gate:block.0:0": 0.25, "gate:block.0:1": 0.75})
    trials.loc[trials["attack"] == "A2", ["gate:block.0:0", "gate:block.0:1"]] = [1.0, 0.0]
    ((figure, caption),) = expert_maps(trials)
    assert caption == "Router of block.0"
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["bonafide", "A1", "A2"]
    assert [text.get_text() for text in figure.axes[0].texts][-2:] == ["1.00", "0.00"]
    assert expert_maps(_trials(9)) == []


def test_the_worst_clips_are_shown_and_heard(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("r", "s"):
        sf.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(12 * 16_000), 16_000)
    trials = pd.DataFrame(
        {
            "path": ["ok.wav", "r.wav", "fine.wav", "s.wav", "gone.wav"],
            "label": ["bonafide", "bonafide", "spoof", "spoof", "spoof"],
            "attack": ["", "", "A1", "A2", "A2"],
            "llr": [3.0, -2.0, -3.0, 1.0, 4.0],
        }
    )
    real, gone = worst_clips(trials, "llr", 1, [tmp_path])
    fake = worst_clips(trials, "llr", 2, [tmp_path])[3]
    assert (real.title, gone.title, fake.title) == ("r.wav", "gone.wav", "s.wav")
    assert "In truth a real person; p(fake) 88.1 %" in real.text
    assert "not here" in gone.text
    assert not gone.flac
    assert "fake (A2)" in fake.text
    samples, rate = sf.read(io.BytesIO(real.flac))
    assert (len(samples), rate) == (8 * 16_000, 16_000)
    assert Image.open(io.BytesIO(real.png)).size[1] > 100
    assert worst_clips(trials, "llr", 1, [tmp_path])[0] == real


def test_a_report_has_its_parts_and_drops_what_there_is_not():
    first = System.of(
        "first",
        _trials().assign(group="g", llr=1.0),
        by=["group"],
        resamples=5,
        about={"recipe": "a: 1"},
        sources={"trials": "300"},
    )
    parts = sections([first, _system("second")], command="loradar report", made="now", clips=0)
    assert [part.heading for part in parts] == [
        "Summary",
        "Figures",
        "Errors and scores",
        "By attack",
        "Calibration",
        "Configuration and environment",
    ]
    assert len(parts[2].figures) == 3
    assert parts[3].table_caption in ("first", "second")
    assert ("command", "loradar report") in parts[-1].pairs
    assert parts[-1].details == [("first: recipe", "a: 1")]
    alone = _trials().assign(attack="")
    (*rest, last) = sections([System.of("x", alone, resamples=0)], command="", made="", clips=1)
    assert "By attack" not in [part.heading for part in rest]
    assert [part.heading for part in rest][-1] == "Worst clips of x"
    assert len(rest[-1].clips) == 2
    assert last.heading == "Configuration and environment"
