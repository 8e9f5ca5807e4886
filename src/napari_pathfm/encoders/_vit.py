"""Vision transformers, built from a spec by timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import SpecError

if TYPE_CHECKING:
    from timm.models import VisionTransformer
    from torch import nn

    from napari_pathfm.encoders._spec import EncoderSpec


def build_vit(spec: EncoderSpec) -> VisionTransformer:
    """Build the network of a spec with random weights.

    ``arguments`` of the spec are timm's own, and two more. ``swiglu``: whether the
    feed-forward part is the packed SwiGLU of DINOv2's large models, whose first half
    passes the SiLU, rather than a plain one with GELU. ``projected``: whether linear
    layers follow the final norm, one for CLS and registers and one for patches. Sides
    may be any multiple of the patch.

    Returns
    -------
    VisionTransformer
        Its output is every token after the final norm (and the linear layers),
        ``(N, prefix + h * w, D)``.

    Raises
    ------
    SpecError
        If timm has no such architecture, it does not take these arguments, or what it
        builds is not what the spec states.
    """
    from timm.layers.mlp import SwiGLUPacked
    from timm.models import VisionTransformer
    from torch import nn

    arguments = dict(spec.arguments)
    projected = arguments.pop("projected", False)
    feed_forward: dict[str, Any] = (
        {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
        if arguments.pop("swiglu", False)
        else {}
    )
    given: dict[str, Any] = {
        "img_size": spec.position_px or spec.tile_px,
        "num_classes": 0,
        "global_pool": "",
        "dynamic_img_size": True,
        **feed_forward,
        **arguments,
    }
    network = (
        VisionTransformer(**given)
        if spec.architecture is None
        else _registered(spec, spec.architecture, given)
    )
    if projected:
        _project(network, spec)
    return network


def _project(network: Any, spec: EncoderSpec) -> None:
    """Let linear layers follow the final norm."""
    from torch import nn

    from napari_pathfm.encoders._projection import Projection

    projection = Projection(spec.dim, spec.prefix_tokens)
    network.norm = nn.Sequential(network.norm, projection)


def _registered(
    spec: EncoderSpec, architecture: str, arguments: dict[str, Any]
) -> VisionTransformer:
    """Build an architecture of timm's by its name, and look at what came out."""
    import timm

    where = spec.source or spec.name
    # Whatever is no plain name would be fetched from somewhere.
    if not timm.is_model(architecture):
        raise SpecError(
            f"{where}: architecture: timm {timm.__version__} has no "
            f"{architecture!r}; timm.list_models() names those there are"
        )
    try:
        network: Any = timm.create_model(architecture, pretrained=False, **arguments)
    # What the constructors of timm's models raise for what they do not take.
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SpecError(
            f"{where}: arguments: {architecture} cannot be built so ({reason})"
        ) from error
    _check_built(spec, network)
    built: VisionTransformer = network
    return built


def _check_built(spec: EncoderSpec, network: nn.Module) -> None:
    """Refuse a network that is not what the spec states, or gives no tokens."""
    where = spec.source or spec.name
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    built = {
        "prefix_tokens": getattr(network, "num_prefix_tokens", None),
        "dim": getattr(network, "num_features", None),
        "patch_px": patch[0] if patch is not None and patch[0] == patch[1] else None,
    }
    for key, value in built.items():
        stated = getattr(spec, key)
        if value is None:
            raise SpecError(
                f"{where}: architecture: {spec.architecture} is no vision transformer "
                "with square patches"
            )
        if value != stated:
            raise SpecError(f"{where}: {key}: {spec.architecture} has {value}")
    if not hasattr(network, "cls_token") or network.cls_token is None:
        raise SpecError(
            f"{where}: architecture: {spec.architecture} has no CLS token, which "
            "stands for a tile"
        )
