"""What helps a network while it trains and is gone afterwards: its layers stay those of the zoo."""

from collections import OrderedDict

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from noise.recipes import Recipe

NORM, DROPOUT = "_scaffold_norm", "_scaffold_dropout"


def scaffolded(network: nn.Sequential, recipe: Recipe) -> nn.Sequential:
    """The network's own layers, and the recipe's: normalisation behind all with weights but the last; dropout."""
    weighted = [name for name, layer in network.named_children() if isinstance(layer, _WITH_NORM)]
    pooling = [name for name, layer in network.named_children() if isinstance(layer, nn.MaxPool1d)]
    dropout = dict(recipe.dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in network.named_children():
        layers[name] = nn.AdaptiveMaxPool1d(1) if recipe.window and name in pooling[-1:] else layer
        if recipe.normalise and name in weighted[:-1]:
            layers[name + NORM] = _norm(layer)
        if name in dropout:
            layers[name + DROPOUT] = nn.Dropout(dropout[name])
    return nn.Sequential(layers)


def folded(trained: nn.Sequential, network: nn.Sequential) -> nn.Sequential:
    """The network that `trained` is the scaffold of, in eval mode, its normalisations gone into the weights."""
    scaffold = dict(trained.eval().named_children())
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in network.eval().named_children():
        norm = scaffold.get(name + NORM)
        layers[name] = _fused(layer, norm) if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) else layer
    return nn.Sequential(layers)


_WITH_NORM = (nn.Conv1d, nn.Conv2d, nn.Linear)


def _norm(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return nn.BatchNorm2d(layer.out_channels)
    if isinstance(layer, nn.Conv1d):
        return nn.BatchNorm1d(layer.out_channels)
    assert isinstance(layer, nn.Linear)
    return nn.BatchNorm1d(layer.out_features)


def _fused(layer: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, norm)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    return fuse_conv_bn_eval(layer, norm)
