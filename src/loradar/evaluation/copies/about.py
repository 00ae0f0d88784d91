"""What the figures mean, in the words that the page and the docs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loradar.evaluation.copies.clips import LEAST_SPEAKERS, Clip
from loradar.evaluation.copies.frames import SPEECH_DB
from loradar.evaluation.copies.summary import ABOVE_FLOOR_DB, GIVEAWAY, MOST_MCD_DB

TITLE = "Evidence for each attack"

COLUMNS = {
    "log-mel dB": "RMS difference of 80 mel bands between copy and source.",
    "LSD dB": "log-spectral distance, 80 to 7,000 Hz. It has to clear the row `resampling` "
    "(16,000 to 44,100 Hz and back), which is no copy at all.",
    "MCD dB": "mel-cepstral distortion: WORLD envelope, 5 ms, 24 coefficients without c0, alpha "
    "0.42, frame against frame without warping in time. A band that the copy lacks weighs much: a "
    "cut from 7.3 kHz on costs 4 dB alone. It needs pyworld.",
    "F0 corr.": "correlation of the pitch where both are voiced (WORLD's DIO and StoneMask).",
    "voicing %": "speech frames that are voiced in both or in neither.",
    "RTF": "seconds of work for a second of copy, the first call left out; below 1 is faster than "
    "real time.",
    "trivial EER %": "how well a logistic regression on the long-term average spectrum (80 to "
    "7,000 Hz) tells copies from sources, speakers it was not trained on. About 50 or above is as "
    "it should be; near 0 the attack gives itself away.",
}

VERDICTS = {
    "buzzes": f"a neural attack whose MCD is above {MOST_MCD_DB:g} dB",
    "hands back its input": f"an LSD whose interval begins less than {ABOVE_FLOOR_DB:g} dB above "
    "the floor",
    "gives itself away": f"a trivial EER whose interval ends below {100 * GIVEAWAY:.0f} %",
}


@dataclass(frozen=True)
class Shown:
    """The clip that the docs show.

    Attributes
    ----------
    clip : Clip
        The source.
    rights : str
        One paragraph: whose it is.
    audible : bool
        Whether it may be heard too.
    """

    clip: Clip
    rights: str
    audible: bool


@dataclass(frozen=True)
class Run:
    """How the evidence was made.

    Attributes
    ----------
    clips : sequence of Clip
        The sources.
    source : str
        Name of the corpus they come from.
    command : str
        What makes the same again.
    seed, threads : int
        As used.
    version : str
        Of Loradar.
    skipped : sequence of str
        One line for each attack or measure that was left out.
    credit : str
        Whose the recordings are and their licence; empty when unknown.
    """

    clips: Sequence[Clip]
    source: str
    command: str
    seed: int
    threads: int
    version: str
    skipped: Sequence[str]
    credit: str = ""

    @property
    def speakers(self) -> list[str]:
        """Who speaks, sorted."""
        return sorted({clip.speaker for clip in self.clips})

    @property
    def rights(self) -> str:
        """One paragraph: whose recordings these are, and what was done to them."""
        if not self.credit:
            return (
                "Nothing is known of the recordings' licence: ask before sounds or pictures of "
                "them are passed on."
            )
        return f"Recordings: {self.credit}; cut, and changed by the attacks named."

    @property
    def shown(self) -> Shown:
        """The first clip; to be heard too where its licence is known."""
        return Shown(self.clips[0], self.rights, bool(self.credit))

    @property
    def summary(self) -> str:
        """One paragraph: how many clips of whom, and how they are counted."""
        speakers = self.speakers
        few = (
            f" These are fewer than {LEAST_SPEAKERS} speakers: read the figures with care."
            if len(speakers) < LEAST_SPEAKERS
            else ""
        )
        who = ", ".join(speakers) if len(speakers) <= 2 * LEAST_SPEAKERS else ""
        return (
            f"{len(self.clips)} clips of {len(speakers)} speakers{f' ({who})' if who else ''} of "
            f"{self.source}, copied once by each attack with settings drawn at random (seed "
            f"{self.seed}). Means over clips with 95 % bootstrap intervals; distances over the "
            f"frames in which the source speaks (energy within {SPEECH_DB:g} dB of its loudest "
            f"frame). Times on {self.threads} threads.{few}"
        )
