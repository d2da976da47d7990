"""Networks of the `transformers` library by class name: built from the configuration alone, nothing is downloaded.

Weights are random and seeded: enough to plan with, while an accuracy of them means nothing.
"""

import difflib
from typing import Any

import torch
from torch import nn

from profiles.errors import ModelError
from profiles.installing import extra
from profiles.zoo.catalog import SEED
from profiles.zoo.seeded import draw_weights

#: Tokens of an example text, or fewer where the configuration has fewer positions.
TOKENS = 128


class ImageModel(nn.Module):
    """Pixel values → the tensors among the results, by name: no empty ones, no caches."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return _tensors(self.model(pixel_values=pixel_values))


class TextModel(nn.Module):
    """Token ids and mask → the tensors among the results, by name."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return _tensors(self.model(input_ids=input_ids, attention_mask=attention_mask))


def _tensors(results: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in results.items() if isinstance(value, torch.Tensor)}


def from_transformers(source: str) -> tuple[nn.Module, tuple[()], dict[str, torch.Tensor]]:
    """The module in eval mode and example inputs by name.

    source: `transformers:CLASS` or `transformers:CLASS?setting=value&…`, where CLASS is a configuration's class
    (`ViTConfig`: the model without a head) or a model's (`ViTForImageClassification`). Images are [1, C, S, S], texts
    token ids and mask [1, 128]. Raises ModelError: the extra is missing, no such class or setting, other inputs.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModelError(f"{source}: transformers is not installed; {extra('models')}") from error
    name, _, query = source.removeprefix("transformers:").partition("?")
    config_class, model_class = _classes(transformers, name, source)
    try:
        settings = _settings(query, source)
        _require_known(settings, config_class(), source)  # transformers would keep any name in silence
        config = config_class(**settings)
        config.use_cache = False
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = _build(transformers, config, model_class)
    except ModelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{source}: its default configuration makes no model: {reason}; try another class"
        ) from error
    draw_weights(model, seed=SEED)
    example = _example(model, source)
    wrap = ImageModel if "pixel_values" in example else TextModel
    return wrap(model).eval(), (), example


def _classes(transformers: Any, name: str, source: str) -> tuple[Any, Any]:
    """(configuration class, model class or None for the plain model of that configuration)."""
    found = getattr(transformers, name, None) if name.isidentifier() else None
    if isinstance(found, type) and issubclass(found, transformers.PretrainedConfig):
        return found, None
    config_class: Any = getattr(found, "config_class", None)
    if config_class and isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
        return config_class, found
    known = [one for one in dir(transformers) if one.endswith(("Config", "Model", "Classification"))]
    near = ", ".join(difflib.get_close_matches(name, known, n=3)) or "ViTConfig, BertConfig, ResNetConfig"
    raise ModelError(f"{source}: transformers has no configuration or model class {name!r}; nearest: {near}")


def _build(transformers: Any, config: Any, model_class: Any) -> nn.Module:
    if model_class is None:
        model: nn.Module = transformers.AutoModel.from_config(config)
    else:
        model = model_class(config)
    return model


def _settings(query: str, source: str) -> dict[str, Any]:
    """`depths=2,2&layer_type=basic` → {"depths": [2, 2], "layer_type": "basic"}."""
    settings: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise ModelError(f"{source}: {pair!r} is no setting, expected name=value, several joined by &")
        values = [_value(one) for one in text.split(",") if one]
        settings[key] = values if "," in text else values[0]
    return settings


def _require_known(settings: dict[str, Any], default: Any, source: str) -> None:
    for key in settings:
        # Some configurations know no image size; it is then that of the example alone.
        if key != "image_size" and not hasattr(default, key):
            near = ", ".join(difflib.get_close_matches(key, default.to_dict(), n=3)) or "see its documentation"
            raise ModelError(f"{source}: {type(default).__name__} has no setting {key!r}; nearest: {near}")


def _value(text: str) -> int | float | bool | str:
    if text in ("True", "true", "False", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _example(model: Any, source: str) -> dict[str, torch.Tensor]:
    config = model.config
    generator = torch.Generator().manual_seed(SEED)
    if model.main_input_name == "pixel_values":
        side = getattr(config, "image_size", None) or 224
        height, width = (side, side) if isinstance(side, int) else side
        return {"pixel_values": torch.rand(1, config.num_channels, height, width, generator=generator)}
    if model.main_input_name == "input_ids" and not getattr(config, "is_encoder_decoder", False):
        length = min(TOKENS, getattr(config, "max_position_embeddings", None) or TOKENS)
        ids = torch.randint(config.vocab_size, (1, length), generator=generator)
        return {"input_ids": ids, "attention_mask": torch.ones(1, length, dtype=torch.long)}
    raise ModelError(
        f"{source} takes {model.main_input_name} or is an encoder with a decoder; expected pixel_values or input_ids "
        "alone; give it as package.module:function with example inputs of its own"
    )
