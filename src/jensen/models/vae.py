"""The variational autoencoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.checks import check_count, check_data, check_distribution, check_shapes, named, takes_two
from jensen.distributions import center
from jensen.trace import Trace, anonymous

TYPES_DIFFER = ("dtype", "scalar type", "Input type")
"""What torch's complaints of two tensors of different types have in them."""


class VAE(nn.Module):
    """p(z) p(x | z) with an amortized posterior q(z | x) (Kingma & Welling 2014; Rezende et al. 2014).

    Args:
        prior: a module, ``forward() -> Distribution`` over z (see `jensen.priors`).
        encoder: ``forward(x, context) -> Distribution`` over z, the posterior q(z | x).
        decoder: ``forward(z, context) -> Distribution`` over x, the likelihood p(x | z).

    Raises:
        ValueError: the prior is a distribution, and no module that returns one; or a part is a class.
    """

    def __init__(self, prior: nn.Module, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        if isinstance(prior, Distribution):
            raise ValueError(
                f"the prior is a distribution, {type(prior).__name__}, and must be a module whose forward() "
                "returns one, so that its tensors follow the model; see docs/your-own-modules.md"
            )
        for name, part in (("prior", prior), ("encoder", encoder), ("decoder", decoder)):
            if isinstance(part, type):
                raise ValueError(
                    f"the {name} is the class {part.__name__}; give an object, {part.__name__}(...)"
                )
        self.prior = prior
        self.encoder = encoder
        self.decoder = decoder

    @property
    def decoded(self) -> int:
        """Numbers that the decoder makes of one latent sample, on which its memory depends; 0: not known."""
        return int(getattr(getattr(self.decoder, "family", None), "num_outputs", 0))

    def context_of(self, x: Tensor) -> Tensor | None:
        """The context that data themselves carry: none (see `jensen.models.conditional`)."""
        return None

    def posterior(self, x: Tensor, *, context: Tensor | None = None) -> tuple[Distribution, ...]:
        """q(z | x) of each latent group (here one), batch shape ``[B]``.

        Raises:
            ValueError: ``x`` is no tensor of rows, or of a type that the encoder does not take; or the
                encoder takes no context, or returns no distribution, or one alone.
        """
        check_data(x)
        try:
            q = _called("encoder", self.encoder, x, self.context_of(x) if context is None else context)
        except RuntimeError as error:
            own = next((p.dtype for p in self.parameters()), x.dtype)
            if x.dtype == own or not any(word in str(error) for word in TYPES_DIFFER):
                raise
            other = f", or a model.to({x.dtype})" if x.is_floating_point() else ""  # no weights are integers
            raise ValueError(f"x is {x.dtype} and the model {own}; give x.to({own}){other}") from error
        check_distribution("posterior", q)
        if not q.batch_shape:
            raise ValueError(
                f"the posterior, {named(q)}, has no batch dimension for x of shape {tuple(x.shape)}; the "
                "encoder returns one for each row, and x is rows, [B, *event]: of a single datum x[None]"
            )
        return (q,)

    def trace(
        self,
        x: Tensor,
        num_samples: int = 1,
        *,
        context: Tensor | None = None,
        pathwise: bool | Sequence[bool] = True,
        posterior: tuple[Distribution, ...] | None = None,
    ) -> Trace:
        """Encode ``x`` ``[B, *event]``, draw K = ``num_samples`` latents a datum, decode each.

        ``z = f_w(eps)`` where the posterior has a pathwise sampler and ``pathwise`` asks for it;
        otherwise z carries no gradient. A ``posterior`` given (one already computed, or refined for
        these very data) takes the place of the encoder's.

        Raises:
            ValueError: K or ``x`` is not such, or a module returns what a `Trace` refuses.
        """
        check_count("num_samples", num_samples)
        check_data(x)
        context = self.context_of(x) if context is None else context
        (q,) = self.posterior(x, context=context) if posterior is None else posterior
        reparameterized = _the_only(pathwise) and q.has_rsample
        z = q.rsample((num_samples,)) if reparameterized else _without_path(q, num_samples)
        p = self.prior()
        check_shapes("prior", p, z.shape[2:], ())  # samples have one draw each, whatever the batch
        return Trace(
            x=x,
            z=(z,),
            posterior=(q,),
            prior=(p,),
            likelihood=self.likelihood((z,), context=context),
            pathwise=(reparameterized,),
            context=context,
        )

    def forward(self, x: Tensor, num_samples: int = 1, **options: Any) -> Trace:
        """`trace`, so that ``model(x)`` and wrappers of modules, which call ``forward``, have a meaning."""
        return self.trace(x, num_samples, **options)

    def likelihood(self, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Distribution:
        """p(x | z) at given latents ``[K, B, M]``, batch shape ``[K, B]``."""
        p = _called("decoder", self.decoder, z[0], context)
        check_distribution("likelihood", p)
        return p

    def log_joint(self, x: Tensor, z: tuple[Tensor, ...], *, context: Tensor | None = None) -> Tensor:
        """log p(x, z) = log p(x | z) + log p(z) at given latents ``[K, B, M]``: ``[K, B]``, nats."""
        prior: Distribution = self.prior()
        context = self.context_of(x) if context is None else context
        return self.likelihood(z, context=context).log_prob(x) + prior.log_prob(z[0])

    @torch.no_grad()
    def sample(self, n: int, *, context: Tensor | None = None, mean: bool = False) -> Tensor:
        """Sample_VAE: z ~ p(z), then x ~ p(x | z), ``[n, *event]``.

        With ``mean`` the noise of the decoder is left out and E[x | z] is returned instead of a draw;
        that is a smoother picture, not a sample of p(x).
        """
        check_count("n", n)
        likelihood = self.likelihood((self.prior().sample((1, n)),), context=context)
        return (center(likelihood) if mean else likelihood.sample())[0]


def _called(name: str, part: Any, given: Tensor, context: Tensor | None) -> Distribution:
    """``part(given, context)``, or a ValueError if it cannot be called so."""
    try:
        distribution: Distribution = part(given, context)
    except TypeError as error:
        if takes_two(part):
            raise
        raise ValueError(
            f"the {name}, {type(part).__name__}, takes no context; its forward must take two arguments, as "
            "forward(self, x, context=None), also where there is no context"
        ) from error
    return distribution


def _without_path(q: Distribution, num_samples: int) -> Tensor:
    """Draws that carry no gradient.

    By ``rsample`` where there is one: torch's ``Normal.sample`` looks at its scales first, which a step on a
    GPU would wait for.
    """
    with torch.no_grad():
        draw = q.rsample if q.has_rsample else q.sample
        return anonymous(draw((num_samples,)))


def _the_only(pathwise: bool | Sequence[bool]) -> bool:
    """Whether the one latent group of a VAE shall be drawn pathwise."""
    if isinstance(pathwise, bool):
        return pathwise
    if len(pathwise) != 1:
        raise ValueError(f"pathwise has {len(pathwise)} entries, and a VAE one latent group; give one bool")
    return pathwise[0]
