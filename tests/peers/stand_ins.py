"""Makes the peers importable on a CPU: one peer, in one version, a process.

What a package imports but does not need for its arithmetic is replaced by an empty module; what its arithmetic needs and a CPU
has not got, by the same arithmetic in torch.
"""
import sys
import types

import torch
import torch.utils.checkpoint


def load(packages, name, version):
    """Puts packages/NAME-VERSION onto sys.path, with what it needs there."""
    sys.path.insert(0, str(packages / f"{name}-{version}"))
    prepare = globals().get("_" + name.replace("-", "_"))
    if prepare:
        prepare(packages)


def _flash_perceiver(packages):
    # Without its own __init__, which loads a CUDA library.
    _empty("flash_attn").__path__ = [str(packages / "flash-attn-2.3.2" / "flash_attn")]
    _empty("torchvision")
    _empty("torchvision.ops").StochasticDepth = _Identity
    _empty("flash_attn.ops.triton").__path__ = []
    _empty("flash_attn.ops.triton.rotary").apply_rotary = _apply_rotary


def _perceiver_io(packages):
    _empty("fairscale")
    _empty("fairscale.nn").checkpoint_wrapper = lambda module, *args, **kwargs: module


def _linformer(packages):
    """Its reversible layers add to .grad while they run backward, which torch.autograd.grad() does not see, and only
    after a forward pass in training. The same backward pass, its gradients handed on."""
    from linformer import reversible

    original = reversible._ReversibleFunction

    class HandedOn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, blocks, args, *parameters):
            ctx.parameters = parameters
            for block in blocks:  # what they draw while they are evaluated: nothing
                block.f.record_rng(x)
                block.g.record_rng(x)
            return original.forward(ctx, x, blocks, args)

        @staticmethod
        def backward(ctx, grad):
            before = [parameter.grad for parameter in ctx.parameters]
            for parameter in ctx.parameters:
                parameter.grad = None
            of_input, *others = original.backward(ctx, grad)
            gradients = [parameter.grad for parameter in ctx.parameters]
            for parameter, old in zip(ctx.parameters, before):
                parameter.grad = old
            return of_input, *others, *gradients

    class WithParameters:
        @staticmethod
        def apply(x, blocks, args):
            return HandedOn.apply(x, blocks, args, *(parameter for block in blocks for parameter in block.parameters()))

    reversible._ReversibleFunction = WithParameters


def _linformer_pytorch(packages):
    torch.Tensor.cuda = lambda self, *args, **kwargs: self  # 0.1.0's Padder
    # The re-entrant kind, once the only one, does not work with torch.autograd.grad(); the numbers are the same.
    again = torch.utils.checkpoint.checkpoint
    torch.utils.checkpoint.checkpoint = lambda function, *args: again(function, *args, use_reentrant=False)


def _zetascale(packages):
    root = next(packages.glob("zetascale-*")) / "zeta"
    for name in ("zeta", "zeta.nn", "zeta.nn.attention"):  # their __init__s import all of zeta
        _empty(name).__path__ = [str(root.joinpath(*name.split(".")[1:]))]


def _empty(name):
    module = sys.modules[name] = types.ModuleType(name)
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    return module


class _Identity(torch.nn.Module):
    """Stochastic depth with probability 0, the only one that flash-perceiver asks for."""

    def __init__(self, p, mode):
        super().__init__()
        assert p == 0

    def forward(self, x):
        return x


def _apply_rotary(x, cos, sin, seqlen_offsets=0, cu_seqlens=None, max_seqlen=None, interleaved=False, inplace=False,
                  conjugate=False):
    """What flash-attn's Triton kernel computes, for x [batch, token, head, channel] and halves side by side."""
    assert cu_seqlens is None and seqlen_offsets == 0 and not interleaved
    half = cos.shape[1]
    assert 2 * half <= x.shape[-1], "rotary_dim must be <= headdim"
    cos, sin = (table[: x.shape[1], None, :] for table in (cos, -sin if conjugate else sin))
    first, second = x[..., :half].clone(), x[..., half : 2 * half].clone()
    result = x if inplace else x.clone()
    result[..., :half] = first * cos - second * sin
    result[..., half : 2 * half] = first * sin + second * cos
    return result
