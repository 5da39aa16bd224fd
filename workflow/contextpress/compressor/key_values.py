"""Memory as keys and values: taken from the encoder's attention, put where the decoder would have computed its own.

The memory of a passage is one tensor here too, [batch, S, features]: for each layer of the decoder a key and a value,
of all heads. The decoder gets it beside its input embeddings, so that whoever cuts or batches prefixes need not know::

    position      0     1     ...  S       S+1        S+2  S+3
    embedding   <bos>   0     ...  0     <restate>    x_1  x_2 ...
    used          0     1     ...  1        0          0    0
    carried       0   k_1 v_1 ... k_S v_S   0          0    0

Wherever ``used`` is 1, each layer's keys and values are the carried ones; what the decoder computes there is read by
no one.

Keys are recorded, mapped and replaced before rotary positions are applied. The decoder turns them by its own positions
1 .. S, so <restate> is 1 away from the last of them and S from the first, as with a prefix of tokens. Keys that had
been turned by the encoder, read by a decoder that counts from 0 again, as in 500xCompressor's code, would lie at
negative distances, which no pretraining has shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from contextpress.runtime.errors import UserError


def projections(body: PreTrainedModel) -> list[nn.Module]:
    """The modules that compute keys and values: of the first layer its key's, its value's, of the second, and so on.

    Raises:
        UserError: if the model computes them in another way than Llama and its kin.
    """
    found: list[nn.Module] = []
    for layer in getattr(body, "layers", [None]):
        attention: Any = getattr(layer, "self_attn", None)
        if not hasattr(attention, "k_proj") or not hasattr(attention, "v_proj"):
            raise UserError(
                f"model {body.config.model_type} does not compute keys and values by matrices of their own, which "
                "read-out kv_prefix needs; choose another read-out"
            )
        found += [attention.k_proj, attention.v_proj]
    return found


@contextmanager
def recorded(body: PreTrainedModel, select: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """Within the context, one pass of ``body`` fills the list with ``select`` of each of its ``projections``."""
    kept: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: kept.append(select(output)))
        for module in projections(body)
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


class KeyValueConnector(nn.Module):
    """One matrix for each layer's keys and one for its values, from encoder to decoder size.

    Layers of the decoder draw on evenly spaced layers of the encoder, the first on the first, the last on the last::

        decoder of 4 layers    1  2  3  4        decoder of 2 layers    1  2
        encoder of 2 layers    1  1  2  2        encoder of 4 layers    1  4

    The matrices start as the identity, which is right where encoder and decoder come from one model.
    """

    def __init__(self, encoder: PreTrainedModel, decoder: PreTrainedModel) -> None:
        """Bodies of the two models; only sizes are read."""
        super().__init__()
        self.sizes, wanted = sizes(encoder), sizes(decoder)
        self.sources = [2 * layer + kind for layer in spaced(len(self.sizes) // 2, len(wanted) // 2) for kind in (0, 1)]
        made = [nn.Linear(self.sizes[source], size) for source, size in zip(self.sources, wanted, strict=True)]
        for linear in made:
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.maps = nn.ModuleList(made)

    def forward(self, states: Tensor) -> Tensor:
        """[batch, S, features of the encoder] -> [batch, S, features of the decoder]."""
        parts = states.split(self.sizes, dim=-1)
        mapped = [linear(parts[source]) for linear, source in zip(self.maps, self.sources, strict=True)]
        return torch.cat(mapped, dim=-1)


class KeyValueInputs:
    """Makes a decoder take the keys and values that its inputs carry; see the drawing above."""

    def __init__(self, body: PreTrainedModel) -> None:
        """Add hooks to ``body``. Inputs that carry nothing are read as before."""
        self.width = body.get_input_embeddings().weight.shape[1]
        self.sizes = sizes(body)
        self.used: Tensor | None = None
        self.carried: tuple[Tensor, ...] = ()
        body.register_forward_pre_hook(self._unpack, with_kwargs=True)
        for place, module in enumerate(projections(body)):
            module.register_forward_hook(partial(self._replace, place))

    def pack(self, memory: Tensor) -> Tensor:
        """Memory [batch, S, features] as rows of the decoder's input, [batch, S, width + 1 + features]."""
        marked = pad(memory, (1, 0), value=1.0)
        return pad(marked, (self.width, 0))

    def _unpack(self, _body: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        inputs, self.used, self.carried = kwargs.get("inputs_embeds"), None, ()
        if inputs is None or inputs.shape[-1] == self.width:
            return args, kwargs
        embedded, used, *carried = inputs.split([self.width, 1, *self.sizes], dim=-1)
        self.used, self.carried = used > 0, tuple(carried)
        return args, {**kwargs, "inputs_embeds": embedded}

    def _replace(self, place: int, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:  # noqa: ANN401
        if self.used is None:
            return output
        return torch.where(self.used, self.carried[place].to(output.dtype), output)


def spaced(available: int, wanted: int) -> list[int]:
    """``wanted`` places among ``available`` ones, evenly from the first to the last; if one is wanted, the last."""
    if wanted == 1:
        return [available - 1]
    return [round(place * (available - 1) / (wanted - 1)) for place in range(wanted)]


def sizes(body: PreTrainedModel) -> list[int]:
    """Width of each layer's keys and values, of all heads together, in the order of ``projections``."""
    return [int(module.out_features) for module in projections(body)]  # type: ignore[arg-type]
