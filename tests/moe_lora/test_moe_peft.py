"""Plain LoRA adapters of PEFT as experts, and experts as such adapters."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from loradar.errors import CheckpointError, ConfigError
from loradar.moe_lora import MoeLoraConfig, export_expert, import_expert, inject
from loradar.moe_lora.peft_format import read_peft, write_peft

MODULES = ("layers.0.q_proj", "layers.0.v_proj", "layers.1.q_proj", "layers.1.v_proj")


def adapted(make_encoder, **options):
    torch.manual_seed(0)
    model = make_encoder().eval()
    config = {"experts": 3, "rank": 2, "alpha": 6.0, "targets": ("q_proj", "v_proj"), **options}
    mixture = inject(model, MoeLoraConfig(**config))
    for adapter in mixture.adapters.values():
        nn.init.normal_(adapter.B)
    return model, mixture


def merged(make_encoder, tensors, scale=1.0):
    """The plain model with ``scale * B A`` added to its weights."""
    torch.manual_seed(0)
    model = make_encoder().eval()
    for name, (A, B) in tensors.items():
        model.get_submodule(name).weight.data += scale * (B @ A)
    return model


def adapter(folder, modules=MODULES, rank=2, **config):
    tensors = {}
    for module in modules:
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, 8)
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.randn(8, rank)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 4, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_an_imported_adapter_is_an_expert_behind_a_shut_gate(make_encoder, tmp_path, scope):
    model, mixture = adapted(make_encoder, scope=scope)
    x = torch.randn(2, 5, 8)
    before = model(x)
    tensors = read_peft(adapter(tmp_path / "one", rank=3))
    assert import_expert(mixture, tmp_path / "one") == 3
    assert mixture.config.grown == (3,)
    assert torch.equal(model(x), before)
    # With its gate at 1 and the others' at 0 it does what PEFT's would.
    for name, layer in mixture.adapters.items():
        A, B = tensors[name]
        gates = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(2, 5, 4)
        torch.testing.assert_close(layer(x, gates), layer.base(x) + x @ A.T @ B.T)


def test_import_of_part_of_the_modules_and_of_mixed_ranks(make_encoder, tmp_path):
    _, mixture = adapted(make_encoder)
    one = adapter(tmp_path / "one", modules=MODULES[:1], rank=2, alpha_pattern={"q_proj": 8})
    more = load_file(one / "adapter_model.safetensors")
    name = "base_model.model.model.layers.1.q_proj.lora_{}.weight"
    more[name.format("A")], more[name.format("B")] = torch.randn(4, 8), torch.randn(8, 4)
    save_file(more, one / "adapter_model.safetensors")
    found = read_peft(one)
    B = more["base_model.model.layers.0.q_proj.lora_B.weight"]
    assert torch.equal(found["layers.0.q_proj"][1], 4.0 * B)
    number = import_expert(mixture, one)
    tensors = mixture.tensors_of(number)
    assert {A.shape for A, _ in tensors.values()} == {(4, 8)}
    for own, theirs in (("layers.0.q_proj", "layers.0.q_proj"), ("layers.1.q_proj",) * 2):
        A, B = found[theirs] if theirs in found else found[f"model.{theirs}"]
        ours = mixture.config.scale * tensors[own][1] @ tensors[own][0]
        torch.testing.assert_close(ours, B @ A)
    assert not tensors["layers.0.v_proj"][1].any()
    assert tensors["layers.0.v_proj"][0].any()


def test_scales_of_peft(tmp_path):
    plain = read_peft(adapter(tmp_path / "a", rank=4))
    torch.manual_seed(1)
    one = adapter(tmp_path / "b", rank=4)
    raw = load_file(one / "adapter_model.safetensors")
    name = "base_model.model.layers.0.q_proj.lora_B.weight"
    assert plain.keys() == set(MODULES)
    assert torch.equal(read_peft(one)["layers.0.q_proj"][1], raw[name])
    settings = json.loads((one / "adapter_config.json").read_text())
    settings["use_rslora"] = True
    (one / "adapter_config.json").write_text(json.dumps(settings))
    assert torch.equal(read_peft(one)["layers.0.q_proj"][1], 2 * raw[name])


def test_an_exported_expert_comes_back(make_encoder, tmp_path):
    _, mixture = adapted(make_encoder)
    number = import_expert(mixture, adapter(tmp_path / "one", rank=3))
    for expert in (1, number):
        export_expert(mixture, expert, tmp_path / f"out{expert}", base="some/encoder")
        config = json.loads((tmp_path / f"out{expert}" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "some/encoder"
        found = read_peft(tmp_path / f"out{expert}")
        for name, (A, B) in mixture.tensors_of(expert).items():
            assert torch.equal(found[name][0], A)
            torch.testing.assert_close(found[name][1], 3.0 * B)
    with pytest.raises(ConfigError, match="no expert 9"):
        export_expert(mixture, 9, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [1, 3])
def test_peft_loads_an_exported_expert(make_encoder, tmp_path, number):
    peft = pytest.importorskip("peft")
    _, mixture = adapted(make_encoder)
    import_expert(mixture, adapter(tmp_path / "one", rank=3))
    export_expert(mixture, number, tmp_path / "out")
    expected = merged(make_encoder, mixture.tensors_of(number), mixture.config.scale)
    torch.manual_seed(0)
    base = make_encoder().eval()
    x = torch.randn(2, 5, 8)
    plain = base(x)
    wrapped = peft.PeftModel.from_pretrained(base, tmp_path / "out").eval()
    tolerance = 1e-5 * expected(x).abs().max().item()
    torch.testing.assert_close(wrapped.base_model.model(x), expected(x), rtol=0, atol=tolerance)
    assert not torch.allclose(expected(x), plain, atol=1e-2)
    # Nothing of the base moved: without the adapter it is as before.
    with wrapped.disable_adapter():
        assert torch.equal(wrapped.base_model.model(x), plain)


def test_what_peft_saved_is_imported(make_encoder, tmp_path):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    base = make_encoder().eval()
    settings = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    wrapped = peft.get_peft_model(base, settings).eval()
    wrapped.save_pretrained(tmp_path / "peft")
    x = torch.randn(2, 5, 8)
    expected = wrapped.base_model.model(x)
    _, mixture = adapted(make_encoder)
    number = import_expert(mixture, tmp_path / "peft")
    ours = merged(make_encoder, mixture.tensors_of(number), mixture.config.scale)
    tolerance = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"peft_type": "LOHA"}, "peft_type is LOHA"),
        ({"use_dora": True}, "more than plain LoRA: use_dora"),
        ({"bias": "all"}, "more than plain LoRA: bias"),
        ({"modules_to_save": ["classifier"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4"),
        ({"something_new": 3}, "something_new"),
    ],
)
def test_more_than_plain_lora_is_refused(make_encoder, tmp_path, change, match):
    _, mixture = adapted(make_encoder)
    before = mixture.config
    adapter(tmp_path / "one", **change)
    with pytest.raises(CheckpointError, match=match) as info:
        import_expert(mixture, tmp_path / "one")
    assert "\n" not in str(info.value)
    assert mixture.config == before


def test_files_that_do_not_do(make_encoder, tmp_path):
    _, mixture = adapted(make_encoder)

    def refused(match):
        with pytest.raises(CheckpointError, match=match):
            import_expert(mixture, tmp_path / "one")
        assert mixture.config.grown == ()

    refused("no folder of a PEFT adapter")
    folder = adapter(tmp_path / "one", modules=["layers.0.k_proj"])
    refused("adapts layers.0.k_proj, which the model's experts do not")
    adapter(folder, modules=["encoder.layers.0.q_proj", "decoder.layers.0.q_proj"])
    refused("two of its modules")
    adapter(folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    name = "base_model.model.layers.0.q_proj.lora_A.weight"
    for shape, match in (((2, 6), "maps 6 to 8"), ((3, 8), "do not fit"), ((2, 8, 1), "no matrix")):
        wrong = {**tensors, name: torch.zeros(shape)}
        save_file(wrong, folder / "adapter_model.safetensors")
        refused(match)
    save_file({"base_model.model.score.weight": torch.zeros(2, 2)}, folder / "a.safetensors")
    (folder / "a.safetensors").rename(folder / "adapter_model.safetensors")
    refused("score.weight is no matrix")
    save_file({}, folder / "adapter_model.safetensors")
    refused("holds no adapter")
    (folder / "adapter_model.safetensors").write_bytes(b"junk")
    refused("not a readable safetensors")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    refused("pickled weights")
    (folder / "adapter_config.json").write_text("[]")
    refused("peft_type is None")
    (folder / "adapter_config.json").write_text("{")
    refused("not readable JSON")


def test_one_rank_is_needed(tmp_path):
    with pytest.raises(CheckpointError, match="one rank"):
        write_peft(
            tmp_path,
            {
                "a": (torch.zeros(1, 2), torch.zeros(2, 1)),
                "b": (torch.zeros(2, 2), torch.zeros(2, 2)),
            },
            scale=1.0,
        )
