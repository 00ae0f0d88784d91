"""What is said of a public corpus before anyone has it."""

from __future__ import annotations

from dataclasses import dataclass

from loradar.errors import ConfigError

ALL = "all"
#: Lists papers, data sets and their sizes; cited where it is the only source found.
SURVEY = "github.com/media-sec-lab/Audio-Deepfake-Detection"


@dataclass(frozen=True)
class About:
    """A public corpus: where it comes from, how large it is, how it lies on disk.

    Attributes
    ----------
    name : str
        What recipes and commands call it.
    title : str
        What people call it.
    paper, url : str
        Addresses: what describes it, and where it is to be had.
    licence : str
        Of the recordings; ``not stated`` where its page says nothing.
    size, hours : str
        Of the download, and of the speech; empty where no source was found that states it.
    clips : str
        How many, by part.
    classes : str
        What is bona fide in it, what spoof.
    layout : str
        The tree that the reader expects, one entry a line.
    facts : str
        Where the facts on the layout come from.
    figures : str
        Where counts, hours, sizes and the licence come from; what could not be checked is named.
    rules : str
        Official rules and known traps.
    subsets : tuple of str
        Parts that must not be mixed unawares; ``all`` is understood beside them.
    default : str
        The subset that is read where none is named.
    checked : str
        What of the reader was held against the real corpus; empty: nothing but trees made by
        the tests.
    """

    name: str
    title: str
    paper: str
    url: str
    licence: str
    clips: str
    classes: str
    layout: str
    facts: str
    figures: str
    size: str = ""
    hours: str = ""
    rules: str = ""
    subsets: tuple[str, ...] = ()
    default: str = ""
    checked: str = ""

    def choose(self, subset: str | None) -> str:
        """Return the subset to read, the default for None.

        Raises
        ------
        ConfigError
            The corpus has no such subset, or none at all.
        """
        if subset is None:
            return self.default
        if not self.subsets:
            raise ConfigError(f"{self.name} has no subsets: leave out {subset!r}")
        if subset not in (*self.subsets, ALL):
            raise ConfigError(
                f"{self.name} has no subset {subset!r}; there are {', '.join(self.subsets)}, {ALL}"
            )
        return subset
