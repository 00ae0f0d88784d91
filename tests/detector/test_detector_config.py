import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.detector.config import AdaptationConfig, DetectorConfig, LoraConfig
from loradar.errors import ConfigError

BASE = {"encoder": {"type": "huggingface", "id": "x"}, "adaptation": {"mode": "frozen"}}


@given(
    encoder=st.sampled_from(
        [
            {"type": "huggingface", "id": "facebook/wav2vec2-xls-r-300m", "layers": 12},
            {"type": "huggingface", "config": {"model_type": "wav2vec2"}, "layer_mix": "learned"},
        ]
    ),
    adaptation=st.sampled_from(
        [
            {"mode": "frozen"},
            {"mode": "full"},
            {"mode": "lora", "lora": {"rank": 64, "alpha": 16, "targets": ["q_proj"]}},
            {"mode": "lora"},
            {"mode": "moe_lora", "moe_lora": {"experts": 4, "granularity": "utterance"}},
            {"mode": "moe_lora"},
        ]
    ),
    low=st.floats(20, 300),
    backend=st.sampled_from(["aasist", "linear"]),
)
def test_json_round_trip(encoder, adaptation, low, backend):
    config = DetectorConfig.from_dict(
        {
            "encoder": encoder,
            "adaptation": adaptation,
            "front_end": {"filter": "bandpass", "low_hz": low},
            "backend": {"name": backend},
        }
    )
    text = json.dumps(config.to_dict())
    again = DetectorConfig.from_dict(json.loads(text))
    assert again == config
    assert again.adaptation.mixture == config.adaptation.mixture


def test_mixture_of_each_mode():
    assert AdaptationConfig(mode="full").mixture is None
    assert AdaptationConfig(mode="frozen").mixture is None
    lora = AdaptationConfig(mode="lora", lora=LoraConfig(rank=3, targets=("q_proj",))).mixture
    assert (lora.experts, lora.rank, lora.targets) == (1, 3, ("q_proj",))
    moe = AdaptationConfig(mode="moe_lora", moe_lora={"experts": 4, "top_k": 1})
    assert (moe.mixture.experts, moe.mixture.top_k) == (4, 1)
    # Defaults are written out, so that a later default changes no old checkpoint.
    assert moe.moe_lora["rank"] == moe.mixture.rank


def test_one_switch_chooses_among_the_sections_of_a_recipe():
    sections = {"lora": {"rank": 64}, "moe_lora": {"experts": 8}}
    experts = {}
    for mode in ("frozen", "full", "lora", "moe_lora"):
        mixture = AdaptationConfig.model_validate({"mode": mode, **sections}).mixture
        experts[mode] = mixture and (mixture.experts, mixture.rank)
    assert experts == {"frozen": None, "full": None, "lora": (1, 64), "moe_lora": (8, 8)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"type": "huggingface"}}, "encoder.*either id"),
        ({"encoder": {"type": "huggingface", "config": {}}}, "model_type is missing"),
        ({"encoder": {"type": "huggingface", "id": "x", "leyers": 3}}, "leyers: unknown key"),
        ({"encoder": {"type": "convnet"}}, "encoder"),
        ({"extra": 1}, "extra: unknown key"),
        ({"encoder": {"type": "raw_aasist"}}, "backend.name to none"),
        (
            {
                "encoder": {"type": "spectrogram_cnn"},
                "backend": {"name": "none"},
                "adaptation": {"mode": "lora"},
            },
            "takes no adapters",
        ),
        ({"backend": {"name": "none"}}, "needs a back-end"),
        ({"backend": {"name": "aasist", "dropout": 1.5}}, "backend.dropout"),
        ({"front_end": {"filter": "bandpass", "low_hz": 5000, "high_hz": 300}}, "must lie below"),
        ({"adaptation": {"mode": "lora", "moe_lora": {"experts": 0}}}, "experts"),
        ({"adaptation": {"mode": "moe_lora", "moe_lora": {"expert": 4}}}, "expert"),
        ({"adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 0}}}, "experts"),
        (
            {
                "encoder": {"type": "huggingface", "id": "x", "freeze_feature_encoder": False},
                "adaptation": {"mode": "frozen"},
            },
            "keeps the encoder fixed",
        ),
        (
            {
                "encoder": {
                    "type": "huggingface",
                    "id": "x",
                    "freeze_feature_encoder": False,
                    "frozen_dtype": "bfloat16",
                },
                "adaptation": {"mode": "lora"},
            },
            "must be float32",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(changes, message):
    with pytest.raises(ConfigError, match=message) as info:
        DetectorConfig.from_dict({**BASE, **changes})
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    "change", [{"hidden_act": "nope"}, {"conv_kernel": "x"}, {"num_attention_heads": 7}]
)
def test_encoder_values_that_do_not_fit_are_one_line(change):
    from loradar.detector import build_detector

    config = {"model_type": "wav2vec2", "hidden_size": 16, **change}
    values = {**BASE, "encoder": {"type": "huggingface", "config": config}}
    with pytest.raises(ConfigError, match=r"encoder\.config") as caught:
        build_detector(DetectorConfig.from_dict(values))
    assert "\n" not in str(caught.value)
