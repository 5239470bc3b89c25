"""Combinations that cannot be right, refused before anything is trained, each with its remedy."""

from collections.abc import Callable

from jensen.config.effect import CATEGORICAL, DEFAULTS, check_effect
from jensen.config.settings import Settings
from jensen.errors import UserError

SPREAD = ("normal", "laplace", "student-t", "discretized-logistic")
"""Likelihoods with a spread that --variance can choose."""
DISPERSED = ("negative-binomial", "zero-inflated-negative-binomial")

Rule = tuple[Callable[[Settings], bool], Callable[[Settings], str]]

RULES: list[Rule] = [
    (
        lambda s: s.posterior == "point" and s.bound != "reconstruction",
        lambda s: (
            f"--bound {s.bound} needs a density, and a point posterior has none; use --bound "
            "reconstruction, or another --posterior"
        ),
    ),
    (
        lambda s: s.posterior == "point" and s.estimator != "pathwise",
        lambda s: f"--estimator {s.estimator} needs a density, and a point posterior has none; use pathwise",
    ),
    (
        lambda s: s.posterior == "categorical" and s.estimator != "score-function",
        lambda s: (
            f"--estimator {s.estimator} needs a pathwise sampler, and categorical latents have none; "
            "use --estimator score-function, or --posterior gumbel-softmax"
        ),
    ),
    (
        lambda s: (s.posterior in CATEGORICAL) != (s.prior == "categorical"),
        lambda s: f"--prior {s.prior} does not fit --posterior {s.posterior}; leave --prior out",
    ),
    (
        lambda s: s.posterior == "point" and s.prior == "vamp",
        lambda s: (
            "--prior vamp needs the density of the posterior, and a point has none; use --prior standard"
        ),
    ),
    (
        lambda s: s.likelihood == "columns" and s.prior == "vamp",
        lambda s: "--prior vamp learns pseudo-rows, and the rows of a table cannot be; use --prior mixture",
    ),
    (
        lambda s: s.posterior == "experts" and (s.likelihood != "columns" or s.inference == "two-tier"),
        lambda s: (
            "--posterior experts is of an encoder that reads a table cell by cell, and there is none with "
            f"--likelihood {s.likelihood} and --inference {s.inference}; use --posterior full"
        ),
    ),
    (
        lambda s: bool(s.condition) and s.prior == "vamp",
        lambda s: (
            "--prior vamp is made of the encoder, which reads more with --condition; use --prior mixture"
        ),
    ),
    (
        lambda s: s.likelihood == "columns" and s.binarize != "none",
        lambda s: f"--binarize {s.binarize} is for images; leave it out for a table",
    ),
    (
        lambda s: s.baseline == "leave-one-out" and s.num_samples < 2,
        lambda s: (
            f"--baseline leave-one-out needs --num-samples 2 or more, not {s.num_samples}; "
            "or use --baseline running-mean"
        ),
    ),
    (
        lambda s: s.bound == "reconstruction" and s.prior not in ("auto", "standard", "categorical"),
        lambda s: (
            f"--bound reconstruction has no KL, from which --prior {s.prior} would learn; leave --prior "
            "out, or use --bound elbo with a posterior that has a density"
        ),
    ),
    (
        lambda s: s.posterior == "low-rank" and s.rank > max(s.latent_dim, DEFAULTS["rank"]),
        lambda s: (
            f"--rank {s.rank} is more than the {s.latent_dim} of --latent-dim; use --rank {s.latent_dim}, or "
            "--posterior full"
        ),
    ),
    (
        lambda s: s.bound == "renyi" and s.alpha < 0,
        lambda s: (
            f"--alpha {s.alpha:g} makes of renyi an upper bound on log p(x), which training would push away "
            "from it; use 0 (iwae) or more"
        ),
    ),
    (
        lambda s: s.estimator == "doubly-reparameterized" and s.bound == "renyi" and s.alpha == 1,
        lambda s: (
            "--bound renyi with --alpha 1 is the ELBO, for which doubly-reparameterized is "
            "sticking-the-landing; use --bound elbo --estimator sticking-the-landing"
        ),
    ),
    (
        lambda s: s.estimator == "doubly-reparameterized" and s.bound not in ("iwae", "renyi"),
        lambda s: (
            f"--estimator doubly-reparameterized is for --bound iwae or renyi, not {s.bound}; "
            "use sticking-the-landing, or pathwise"
        ),
    ),
    (
        lambda s: s.backward_samples is not None and s.backward_samples >= s.num_samples,
        lambda s: (
            f"--backward-samples {s.backward_samples} leaves out none of the draws: --num-samples is "
            f"{s.num_samples}; give more of those, or leave it out"
        ),
    ),
    (
        lambda s: s.estimator == "sticking-the-landing" and s.bound not in ("elbo", "beta"),
        lambda s: (
            f"--estimator sticking-the-landing is biased for --bound {s.bound}; use "
            "doubly-reparameterized for iwae and renyi, or pathwise"
        ),
    ),
    (
        lambda s: bool(s.kl_warmup) and s.bound != "elbo",
        lambda s: f"--kl-warmup {s.kl_warmup} needs --bound elbo, not {s.bound}; leave one of them out",
    ),
    (
        lambda s: s.variance != "shared" and s.likelihood not in SPREAD + DISPERSED,
        lambda s: (
            f"--variance {s.variance}: the likelihood {s.likelihood} has no variance of its own; leave it out"
        ),
    ),
    (
        lambda s: s.variance == "optimal" and s.likelihood not in ("normal", "laplace"),
        lambda s: (
            f"--variance optimal has a closed form for normal and laplace, not for {s.likelihood}; "
            "use shared or per-dimension"
        ),
    ),
    (
        lambda s: s.exposure != "none" and s.likelihood not in ("poisson", *DISPERSED),
        lambda s: (
            f"--exposure {s.exposure} is for counts, and the likelihood {s.likelihood} is not; add "
            "--likelihood negative-binomial, or leave it out"
        ),
    ),
    (
        lambda s: s.likelihood == "bernoulli" and s.scaling != "none",
        lambda s: f"--scaling {s.scaling} would take zeros and ones apart; leave it out",
    ),
    (
        lambda s: s.inference != "amortized" and s.posterior in ("point", *CATEGORICAL),
        lambda s: (
            f"--inference {s.inference} refines posteriors by their gradient, which {s.posterior} "
            "latents do not give; use --inference amortized"
        ),
    ),
    (
        lambda s: s.inference != "amortized" and s.bound in ("beta", "free-bits", "reconstruction"),
        lambda s: (
            f"--inference {s.inference} maximises the ELBO of each datum whatever the bound, so that "
            f"posteriors would not be those of --bound {s.bound}; use --bound elbo, or --inference amortized"
        ),
    ),
    (
        lambda s: s.inference != "amortized" and bool(s.kl_warmup),
        lambda s: (
            f"--inference {s.inference} maximises the ELBO of each datum, its whole KL from the first epoch "
            f"on, whatever --kl-warmup {s.kl_warmup} says; leave it out, or use --inference amortized"
        ),
    ),
    (
        lambda s: s.inference == "two-tier" and s.estimator != "pathwise",
        lambda s: (
            f"--estimator {s.estimator} has no effect with --inference two-tier, which has no encoder to "
            "train by it; leave it out"
        ),
    ),
    (
        lambda s: s.inference == "two-tier" and s.prior == "vamp",
        lambda s: "--prior vamp is made of the encoder, and two-tier inference has none; use another prior",
    ),
]


def objective(settings: Settings) -> str:
    """What was maximised, by name, and that it is no bound where it is none: the KL is left out or cut."""
    name = f"beta {settings.beta:g}" if settings.bound == "beta" else settings.bound
    loose = settings.bound == "reconstruction" or (settings.bound == "beta" and settings.beta < 1)
    return f"{name} (no bound on log p(x))" if loose else name


def check_combination(settings: Settings) -> None:
    """Refuse resolved settings that cannot be right together.

    Raises:
        UserError: the first rule that is broken: what was given, what is allowed, how to mend it.
    """
    check_effect(settings)
    for broken, message in RULES:
        if broken(settings):
            raise UserError(message(settings))
