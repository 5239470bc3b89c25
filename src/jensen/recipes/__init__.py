"""Recipes: named, complete settings, for `jensen train --config NAME` and as starting points."""

from jensen.config import Settings
from jensen.errors import UserError, did_you_mean

RECIPES: dict[str, Settings] = {
    # The model of the lecture to the letter: x ~ N(G(z), I), z | x ~ N(eta(x), diag), no scaling of x.
    "lecture": Settings(data="digits", variance="unit", scaling="none", activation="tanh"),
    # Probabilistic PCA by gradient descent: affine maps and one learned variance.
    "probabilistic-pca": Settings(data="digits", network="linear", lr=1e-2, epochs=300),
    # The network of Burda, Grosse & Salakhutdinov 2016 with one stochastic layer, on static MNIST.
    "binarized-mnist": Settings(
        data="binarized-mnist",
        likelihood="bernoulli",  # also where other data are given: grey images then need --binarize
        latent_dim=50,
        hidden=(200, 200),
        activation="tanh",
        epochs=88,  # five minutes on two cores
        optimizer="muon",
        batch_size=512,
        lr=1e-2,
        lr_schedule="cosine",
        kl_warmup=15,
        patience=0,
    ),
}


def recipe(name: str) -> Settings:
    """The settings of a recipe.

    Raises:
        UserError: there is no such recipe; one of a name like it is named.
    """
    if name not in RECIPES:
        raise UserError(
            f"--config {name}: no such file, nor a recipe{did_you_mean(name, RECIPES)}; "
            f"the recipes are {', '.join(RECIPES)}"
        )
    return RECIPES[name]
