import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import ConfigError
from loradar.moe_lora import MoeLoraConfig


@given(
    experts=st.integers(2, 16),
    rank=st.integers(1, 64),
    data=st.data(),
    alpha=st.none() | st.floats(0.1, 100),
    granularity=st.sampled_from(["frame", "utterance"]),
    scope=st.sampled_from(["block", "projection"]),
    layers=st.none() | st.lists(st.integers(0, 40), min_size=1, max_size=5, unique=True),
)
def test_json_round_trip(experts, rank, data, alpha, granularity, scope, layers):
    config = MoeLoraConfig(
        experts=experts,
        rank=rank,
        alpha=alpha,
        top_k=data.draw(st.integers(1, experts)),
        granularity=granularity,
        scope=scope,
        layers=layers,
    )
    back = MoeLoraConfig.from_json(config.to_json())
    assert back == config
    assert isinstance(back.targets, tuple)
    assert layers is None or back.layers == tuple(layers)


def test_defaults_left_out_are_filled_in():
    config = MoeLoraConfig.from_dict({"rank": 4})
    assert config == MoeLoraConfig(rank=4)
    assert (config.experts, config.top_k, config.scale, config.renormalises) == (8, 2, 1.0, True)


def test_scale_and_renormalisation():
    assert MoeLoraConfig(rank=8, alpha=16).scale == 2
    assert not MoeLoraConfig(top_k=1).renormalises
    assert not MoeLoraConfig(top_k=2, renormalise=False).renormalises


def test_renormalised_top_1_is_refused():
    with pytest.raises(ConfigError, match="no gradient"):
        MoeLoraConfig(top_k=1, renormalise=True)
    assert MoeLoraConfig(experts=1, top_k=1, renormalise=True).experts == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"experts": 0},
        {"experts": 2.0},
        {"rank": True},
        {"top_k": 9},
        {"top_k": 0},
        {"alpha": 0},
        {"alpha": float("nan")},
        {"granularity": "word"},
        {"scope": "layer"},
        {"temperature": 0},
        {"temperature": "1"},
        {"noise": -0.1},
        {"dropout": 1},
        {"renormalise": "yes"},
        {"targets": "q_proj"},
        {"targets": []},
        {"targets": ["q_proj", "q_proj"]},
        {"targets": [1]},
        {"layers": []},
        {"layers": [-1]},
        {"layers": [1, 1]},
        {"layers": 3},
        {"balance_weight": -1},
        {"entropy_weight": float("inf")},
    ],
)
def test_values_out_of_range_name_their_setting(wrong):
    with pytest.raises(ConfigError, match=f"moe_lora.{next(iter(wrong))} "):
        MoeLoraConfig.from_dict(wrong)


def test_unknown_keys_and_other_json_are_errors():
    with pytest.raises(ConfigError, match="no setting 'expert'"):
        MoeLoraConfig.from_dict({"expert": 4})
    with pytest.raises(ConfigError, match="not JSON"):
        MoeLoraConfig.from_json("{")
    with pytest.raises(ConfigError, match="object"):
        MoeLoraConfig.from_json("[1]")
