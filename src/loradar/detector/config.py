"""The detector's configuration: saved inside the checkpoint, and sections of every recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.errors import ConfigError
from loradar.moe_lora import MoeLoraConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HuggingFaceEncoderConfig(_Section):
    """A speech encoder of Hugging Face transformers.

    Attributes
    ----------
    id : str, optional
        ``loradar-embedded`` (inside the package), a name on the hub, or a local folder with
        ``config.json`` and ``model.safetensors``.
    config : dict, optional
        Instead of ``id``: a transformers configuration with ``model_type``; weights are random.
    revision : str, optional
        Branch, tag or commit on the hub.
    layers : int, optional
        Keep the first so many transformer layers (default: all).
    layer_mix : {"last", "learned"}
        ``last``: the last layer's output. ``learned``: a trained weighted mean over the input of
        the first layer and the output of every layer, each normalised.
    freeze_feature_encoder : bool, optional
        Keep the convolutions before the transformer fixed. Default: only in the modes that keep
        the whole encoder fixed (``frozen``, ``lora``, ``moe_lora``). False in ``lora`` and
        ``moe_lora`` trains them, and the projection behind them, in full beside the adapters:
        traces of synthesis lie in fine detail, which attention alone cannot bring back once the
        convolutions have dropped it.
    frozen_dtype : {"float32", "bfloat16"}
        Precision of a fixed encoder's weights and arithmetic; adapters, routers and back-end stay
        float32. bfloat16 halves the base's memory, and its time where the processor has
        instructions for it. Mode ``full`` trains float32 weights and makes no use of it.
    spec_augment : bool
        In training, set random strips of the log spectrogram to zero, as the spectrogram CNN does
        (Park et al. 2019, arXiv 1904.08779). For encoders that read it (``loradar-spectral``).
    """

    type: Literal["huggingface"] = "huggingface"
    id: str | None = None
    config: dict[str, Any] | None = None
    revision: str | None = None
    layers: int | None = Field(default=None, ge=1)
    layer_mix: Literal["last", "learned"] = "last"
    freeze_feature_encoder: bool | None = None
    frozen_dtype: Literal["float32", "bfloat16"] = "float32"
    spec_augment: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> HuggingFaceEncoderConfig:
        if (self.id is None) == (self.config is None):
            raise ConfigError("give either id (hub name or local folder) or config (random start)")
        if self.config is not None and not isinstance(self.config.get("model_type"), str):
            raise ConfigError("config: model_type is missing (for instance wav2vec2)")
        return self


class RawAasistConfig(_Section):
    """AASIST on the waveform: a whole baseline detector, without separate back-end."""

    type: Literal["raw_aasist"]
    variant: Literal["AASIST", "AASIST-L"] = "AASIST"


class SpectrogramCnnConfig(_Section):
    """The 0.22 M-parameter spectrogram CNN: a whole baseline detector."""

    type: Literal["spectrogram_cnn"]


EncoderConfig = Annotated[
    HuggingFaceEncoderConfig | RawAasistConfig | SpectrogramCnnConfig,
    Field(discriminator="type"),
]


class FrontEndConfig(_Section):
    """Filter and normalisation of the waveform.

    Attributes
    ----------
    filter : {"none", "highpass", "bandpass"}
        Linear-phase band limits.
    low_hz, high_hz : float
        Half-amplitude edges in Hz; ``highpass`` uses the lower alone.
    normalise : bool
        Zero mean and unit variance of each clip, after the filter.
    """

    filter: Literal["none", "highpass", "bandpass"] = "none"
    low_hz: float = Field(default=80.0, gt=0, lt=8_000)
    high_hz: float = Field(default=7_000.0, gt=0, lt=8_000)
    normalise: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> FrontEndConfig:
        if self.filter == "bandpass" and self.low_hz >= self.high_hz:
            raise ConfigError(f"low_hz ({self.low_hz:g}) must lie below high_hz ({self.high_hz:g})")
        return self


class LoraConfig(_Section):
    """One plain LoRA adapter: a mixture of a single expert, without router."""

    rank: int = Field(default=8, ge=1)
    alpha: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "out_proj")
    layers: tuple[int, ...] | None = None


def _mixture_of(options: Any) -> MoeLoraConfig:
    if not isinstance(options, dict):
        raise ConfigError("moe_lora must be a mapping of options")
    return MoeLoraConfig.from_dict(options)


class AdaptationConfig(_Section):
    """What of the encoder is trained.

    A section that the mode does not use is checked and otherwise ignored, so that one recipe
    holds a whole comparison and ``mode`` alone switches.

    Attributes
    ----------
    mode : {"frozen", "full", "lora", "moe_lora"}
        ``frozen``: the back-end alone. ``full``: everything. ``lora``, ``moe_lora``: adapters.
    lora : LoraConfig
        For ``lora``.
    moe_lora : dict
        For ``moe_lora``: fields of `loradar.moe_lora.MoeLoraConfig`; defaults are filled in.
    """

    mode: Literal["frozen", "full", "lora", "moe_lora"]
    lora: LoraConfig | None = None
    moe_lora: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if values.get("mode") == "lora" and values.get("lora") is None:
            values["lora"] = {}
        options = values.get("moe_lora")
        if options is not None and not isinstance(options, dict):
            raise ConfigError("moe_lora must be a mapping of options")
        if options is not None or values.get("mode") == "moe_lora":
            # Written out in full, so that a later change of a default alters no checkpoint.
            values["moe_lora"] = MoeLoraConfig.from_dict(options or {}).to_dict()
        return values

    @property
    def mixture(self) -> MoeLoraConfig | None:
        """The adapters to inject, or None for ``frozen`` and ``full``."""
        if self.mode == "moe_lora":
            return MoeLoraConfig.from_dict(self.moe_lora or {})
        if self.mode == "lora":
            return MoeLoraConfig.from_dict(
                {"experts": 1, **(self.lora or LoraConfig()).model_dump()}
            )
        return None

    @property
    def keeps_encoder(self) -> bool:
        """Whether the encoder's own weights stay as they are."""
        return self.mode != "full"


class BackendConfig(_Section):
    """What turns encoder features into two logits.

    Attributes
    ----------
    name : {"aasist", "linear", "none"}
        ``linear``: mean over time and one linear layer. ``none``: for the baselines, which hold
        their own.
    dropout : float, optional
        Before the output layer (default: 0.5 for ``aasist`` as published, 0 for ``linear``).
    """

    name: Literal["aasist", "linear", "none"] = "aasist"
    dropout: float | None = Field(default=None, ge=0, lt=1)


class BranchConfig(_Section):
    """A second model that hears the same waveform, fixed, its logits added to the detector's.

    Attributes
    ----------
    name : {"spectrogram_cnn"}
        The model.
    scale : float
        What its logits are multiplied by.
    """

    name: Literal["spectrogram_cnn"] = "spectrogram_cnn"
    scale: float = Field(default=1.0, gt=0)


class DetectorConfig(_Section):
    """Everything needed to rebuild a detector.

    Attributes
    ----------
    branches : tuple of BranchConfig
        Models beside it; not for the raw-waveform baseline.
    window : int
        Samples (16 kHz) a clip is cut or tiled to; 64,600 = 4.0375 s.
    """

    encoder: EncoderConfig
    front_end: FrontEndConfig = FrontEndConfig()
    adaptation: AdaptationConfig
    backend: BackendConfig = BackendConfig()
    branches: tuple[BranchConfig, ...] = Field(default=(), exclude_if=lambda branches: not branches)
    window: int = Field(default=64_600, ge=400)

    @model_validator(mode="after")
    def _fits_together(self) -> DetectorConfig:
        mode, backend = self.adaptation.mode, self.backend.name
        if not isinstance(self.encoder, HuggingFaceEncoderConfig):
            if self.branches and self.encoder.type != "spectrogram_cnn":
                raise ConfigError(f"encoder {self.encoder.type} takes no branches")
            if backend != "none":
                raise ConfigError(
                    f"encoder {self.encoder.type} is a whole detector: set backend.name to none"
                )
            if mode not in ("full", "frozen"):
                raise ConfigError(
                    f"encoder {self.encoder.type} takes no adapters: "
                    "set adaptation.mode to full (or frozen, to use it as it is)"
                )
        elif backend == "none":
            raise ConfigError(
                "a huggingface encoder needs a back-end: backend.name aasist or linear"
            )
        elif mode == "frozen" and self.encoder.freeze_feature_encoder is False:
            raise ConfigError(
                "encoder.freeze_feature_encoder is false, but mode frozen keeps the encoder fixed"
            )
        elif self.trains_feature_encoder and self.encoder.frozen_dtype != "float32":
            raise ConfigError(
                "encoder.freeze_feature_encoder is false: what is trained must be float32, so "
                "leave encoder.frozen_dtype at float32"
            )
        return self

    @property
    def trains_feature_encoder(self) -> bool:
        """Whether the convolutions below a fixed, adapted transformer are trained in full."""
        return (
            isinstance(self.encoder, HuggingFaceEncoderConfig)
            and self.adaptation.mode in ("lora", "moe_lora")
            and self.encoder.freeze_feature_encoder is False
        )

    def with_mixture(self, mixture: MoeLoraConfig) -> DetectorConfig:
        """Return the configuration with another mixture; mode ``lora`` becomes ``moe_lora``."""
        if mixture == self.adaptation.mixture:
            return self
        adaptation = AdaptationConfig(mode="moe_lora", moe_lora=mixture.to_dict())
        return self.model_copy(update={"adaptation": adaptation})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectorConfig:
        """Validate a plain mapping, for instance read from JSON or YAML.

        Raises
        ------
        ConfigError
            Names every offending key in one line.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError("; ".join(_explain(item) for item in error.errors())) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration, defaults filled in, as plain JSON values."""
        return self.model_dump(mode="json")


def _explain(item: Any) -> str:
    where = ".".join(str(place) for place in item["loc"]) or "detector"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {'unknown key' if item['type'] == 'extra_forbidden' else message}"
