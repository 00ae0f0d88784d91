"""Settings of the ways of training that know which attack a clip is of."""

from __future__ import annotations

from pydantic import Field

from loradar.training.sections import _Section


class MldgConfig(_Section):
    """Meta-learning over attacks (MLDG, first order); see `loradar.training.mldg.MldgTrainer`.

    Attributes
    ----------
    by : str
        The column of the training clips that tells attacks apart, such as ``attack`` or ``group``.
    step : float
        Length of the trial step: the weights move by so many times the gradient.
    weight : float
        Weight of the meta-test gradient.
    held : float
        Share of a batch's attacks that are meta-test.
    surgery : bool
        Where the two gradients point against each other, each loses that part.
    """

    by: str = "attack"
    step: float = Field(1e-3, gt=0)
    weight: float = Field(1.0, gt=0)
    held: float = Field(0.34, gt=0, lt=1)
    surgery: bool = False


class SpecialistsConfig(_Section):
    """Experts of one attack each; see `loradar.training.specialists.SpecialistTrainer`.

    Attributes
    ----------
    by : str
        The column of the training clips that tells attacks apart, such as ``group``. Its values in
        order of the alphabet have experts 0, 1, ...; beyond the last expert from 0 again.
    share : float
        Share of the steps in which experts learn; in the rest routers do.
    """

    by: str = "attack"
    share: float = Field(0.6, gt=0, lt=1)
