"""What the generators draw their configurations with."""
import dataclasses
import random
import typing

import torch


@dataclasses.dataclass
class Case:
    """A configuration of a class: the peer's module, and how perceive is told of it."""
    module: torch.nn.Module
    args: dict  # of the constructor
    inputs: dict  # tensors, or lists of tensors and None, by forward()'s names
    forward_args: dict = dataclasses.field(default_factory=dict)
    call: typing.Callable = None  # call(module, inputs, forward_args), where the names do not say how
    names: tuple = None  # of a tuple that forward() returns
    extra_weights: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ModelClass:
    """draw(Draw) gives a Case."""
    draw: typing.Callable
    # How a model gets into float64: "made" so, with float64 as torch's default, or "turned" into it by double().
    float64: tuple = ("made", "turned")


class Draw:
    """Random choices, all from one seed. Sizes are small, and odd or prime as often as not."""

    def __init__(self, seed, version):
        self.version = tuple(int(part) for part in version.split("."))
        self._random = random.Random(seed)
        torch.manual_seed(self._random.getrandbits(48))

    def chance(self, probability=0.5):
        return self._random.random() < probability

    def one_of(self, *choices):
        return self._random.choice(choices)

    def integer(self, low, high):
        return self._random.randint(low, high)

    def size(self, high=19):
        return self.one_of(*(n for n in (1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 19, 23, 31) if n <= high))

    def length(self):
        """Of an input: now and then longer than a tile of perceive's kernels."""
        return self.one_of(64, 67, 131, 257, 521) if self.chance(0.1) else self.size(31)

    def head_width(self):
        """Now and then wider than their registers."""
        return self.one_of(31, 32, 33, 65) if self.chance(0.1) else self.integer(1, 9)

    def batch(self):
        return self.one_of(1, 1, 2, 3, 5)

    def divisor(self, number):
        return self.one_of(*(n for n in range(1, min(number, 8) + 1) if number % n == 0))

    def dropout(self):
        """Without effect in evaluation mode."""
        return self.one_of(0.0, 0.1)

    def some(self, **arguments):
        """Each argument or not: where one is left out, the default must serve."""
        return {name: value for name, value in arguments.items() if self.chance(0.7)}

    def tensor(self, *shape):
        return torch.randn(*shape)

    def mask(self, *shape, empty=True):
        """True where a token counts: holes anywhere, a row of one token, all, or (with `empty`) none at all."""
        mask = torch.rand(*shape) < self.one_of(0.3, 0.7)
        for row in mask:
            kind = self.one_of("holes", "holes", "one", "all", "prefix", "none" if empty else "holes")
            flat = row.view(-1)
            if kind == "none":
                flat.fill_(False)
            elif kind == "all":
                flat.fill_(True)
            elif kind == "one" or not flat.any():
                if kind == "one" or not empty:
                    flat.fill_(False)
                    flat[self.integer(0, flat.numel() - 1)] = True
            elif kind == "prefix":
                flat.copy_(torch.arange(flat.numel()) < self.integer(1, flat.numel()))
        return mask


def shake(module):
    """Moves what is one or zero at the start, such as norms and biases, so that a mistake there shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
