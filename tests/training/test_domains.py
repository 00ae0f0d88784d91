import pandas as pd
import pytest

from loradar.errors import InputError
from loradar.training.domains import domains_of


def test_attacks_are_numbered():
    table = pd.DataFrame({"label": ["spoof", "bonafide", "spoof"], "attack": ["b", "", "a"]})
    assert domains_of([table, table], "attack", "training.mldg").tolist() == [1, -1, 0, 1, -1, 0]
    with pytest.raises(InputError, match="no such column"):
        domains_of([table], "family", "training.mldg")
    with pytest.raises(InputError, match="at least two"):
        domains_of([table.head(2)], "attack", "training.mldg")
