"""What is measured of a set of images: precision, recall, Fréchet distance, gradient energy, digits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

NEIGHBOURS = 3  # k of Kynkäänniemi et al. 2019
PCA_DIMENSIONS = 32
CLASSIFIER_SEED = 0
CLASS_SHARE = 0.01  # a digit is present when at least this share of the images is classified as it


def precision_recall(fake: Tensor, real: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eqs. 1 and 2) of features ``[N, F]``.

    The manifold of a set is the union of balls around its points, each reaching to the point's k-th
    neighbour. Precision: the share of fakes inside the manifold of the real; recall: the converse.
    """
    fake, real = fake.double(), real.double()

    def radii(points: Tensor) -> Tensor:
        return torch.cdist(points, points).kthvalue(k + 1, dim=1).values  # + 1: the point itself

    distances = torch.cdist(fake, real)
    precision = (distances <= radii(real)).any(1).double().mean()
    recall = (distances <= radii(fake)[:, None]).any(0).double().mean()
    return precision.item(), recall.item()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the form of the FID (Heusel et al. 2017)."""
    a, b = a.double(), b.double()
    C_a, C_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(C_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ C_b @ root).clamp(min=0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + C_a.trace() + C_b.trace() - 2 * cross).item()


def gradient_energy(images: Tensor) -> float:
    """The mean over pixels of the squared differences to the right and the lower neighbour."""
    return (images.diff(dim=-1).square().mean() + images.diff(dim=-2).square().mean()).item()


class Classifier(nn.Module):
    """A small convolutional network; its 64 last hidden units are the feature space."""

    def __init__(self, side: int) -> None:
        super().__init__()
        stride = 2 if side > 16 else 1
        flat = 32 * (side // (2 * stride)) ** 2
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images.unsqueeze(1)))


def train_classifier(images: Tensor, labels: Tensor, steps: int) -> Classifier:
    """The classifier of the feature space: a fixed seed, ``steps`` steps of Adam on real images."""
    torch.manual_seed(CLASSIFIER_SEED)
    model = Classifier(images.shape[-1])
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
    return model.eval()


@dataclass(frozen=True)
class Judge:
    """Measures images ``[N, D]`` against real ones held out from all training."""

    side: int
    reference: Tensor
    classifier: Classifier
    project: Callable[[np.ndarray], np.ndarray]
    accuracy: float
    """The classifier's, on the reference images."""

    @staticmethod
    def fit(
        train: Tensor, labels: Tensor, reference: Tensor, reference_labels: Tensor, steps: int
    ) -> "Judge":
        side = round(train.shape[1] ** 0.5)
        classifier = train_classifier(train.unflatten(1, (side, side)), labels, steps)
        with torch.no_grad():
            found = classifier(reference.unflatten(1, (side, side))).argmax(1)
        pca = PCA(PCA_DIMENSIONS, random_state=0).fit(train.numpy())
        accuracy = (found == reference_labels).double().mean().item()
        return Judge(side, reference, classifier, pca.transform, accuracy)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> dict[str, float | bool | None]:
        """All measures of the images ``x``; where any is not finite, precision and recall are 0."""
        if not x.isfinite().all():
            zeros = dict.fromkeys(("precision", "recall", "pca_precision", "pca_recall"), 0.0)
            return {"finite": False, **zeros, "frechet": None, "sharpness": None, "digits": None}
        fake, real = (rows.unflatten(1, (self.side, self.side)) for rows in (x, self.reference))
        fake_features = self.classifier.features(fake.unsqueeze(1))
        real_features = self.classifier.features(real.unsqueeze(1))
        precision, recall = precision_recall(fake_features, real_features)
        pca_fake, pca_real = (torch.from_numpy(self.project(rows.numpy())) for rows in (x, self.reference))
        pca_precision, pca_recall = precision_recall(pca_fake, pca_real)
        share = self.classifier.head(fake_features).argmax(1).bincount(minlength=10) / len(x)
        return {
            "finite": True,
            "precision": precision,
            "recall": recall,
            "pca_precision": pca_precision,
            "pca_recall": pca_recall,
            "frechet": frechet_distance(fake_features, real_features),
            "sharpness": gradient_energy(fake) / gradient_energy(real),
            "digits": int((share >= CLASS_SHARE).sum()),
        }

    def controls(self, train: Tensor, labels: Tensor) -> dict[str, dict[str, float | bool | None]]:
        """The measures of images whose quality is known: they show what the measures see."""
        torch.manual_seed(0)
        n = len(self.reference)
        real = train[torch.randperm(len(train))[:n]]
        blurred = nn.functional.avg_pool2d(
            real.unflatten(1, (1, self.side, self.side)), 3, 1, padding=1, count_include_pad=False
        )
        return {
            "real training images": self(real),
            "the same, blurred (3x3 means)": self(blurred.flatten(1)),
            "the same, with noise of sd 0.15": self(real + 0.15 * torch.randn_like(real)),
            "real images of the digit 1 only": self(train[labels == 1][:n]),
            "uniform noise": self(torch.rand_like(real)),
        }
