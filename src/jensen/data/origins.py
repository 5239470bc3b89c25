"""The public origins of the named data sets, as a table, and the conversions of what lies there."""

import io
import zipfile
from pathlib import Path

import numpy as np

from jensen.data.arrays import Array
from jensen.data.download import Origin, RemoteFile
from jensen.errors import UserError
from jensen.files import atomic

DRAWERS = 20  # every character of Omniglot was drawn once by each of 20 people


def amat_to_npz(sources: list[Path], target: Path) -> None:
    """Three text files, 784 zeros and ones per row -> ``train``, ``valid``, ``test``: packed bits."""
    packed = []
    for source in sources:
        text = np.fromfile(source, dtype=np.uint8)
        digits = text[text > ord(" ")] - ord("0")
        if digits.size == 0 or digits.size % 784 or digits.max() > 1:
            raise UserError(
                f"{source} is not rows of 784 zeros and ones; delete it and run again to download it"
            )
        packed.append(np.packbits(digits.reshape(-1, 784), axis=1))
    with atomic(target) as path:
        np.savez_compressed(path, train=packed[0], valid=packed[1], test=packed[2])


def omniglot_to_npz(sources: list[Path], target: Path) -> None:
    """The zips of 105x105 drawings -> ``background``, ``evaluation``: ``[characters, 20, 28, 28]``, ink 255.

    Characters are in the alphabetical order of ``alphabet/character``, drawers in the order of file names.
    """
    arrays = []
    for source in sources:
        try:
            drawings = _drawings(source)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{source} cannot be read ({error}); delete it and run again to download it"
            ) from None
        if not drawings or len(drawings) % DRAWERS:
            raise UserError(
                f"{source} holds {len(drawings)} drawings, not {DRAWERS} of each character; delete it"
            )
        arrays.append(area_average(np.stack(drawings)).reshape(-1, DRAWERS, 28, 28))
    with atomic(target) as path:
        np.savez_compressed(path, background=arrays[0], evaluation=arrays[1])


def area_average(ink: Array) -> Array:
    """Drawings ``[N, 105, 105]`` of 0/1 -> ``[N, 28, 28]`` uint8: 255 times the inked share of the area.

    105/28 = 15/4, so in quarters of a small pixel each new pixel spans exactly 15 in either
    direction: its share is a whole number of 225ths, and all is whole-number arithmetic.
    """
    quarter = np.arange(4 * 105)
    overlap = np.zeros((28, 105), dtype=np.int64)
    np.add.at(overlap, (quarter // 15, quarter // 4), 1)
    shares = overlap @ ink.astype(np.int64) @ overlap.T  # [N, 28, 28], of 225
    rounded: Array = (shares * 255 + 112) // 225
    return rounded.astype(np.uint8)


def _drawings(source: Path) -> list[Array]:
    """Every drawing ``[105, 105]`` of a zip as uint8, 1 where there is ink (black in the file)."""
    from PIL import Image

    with zipfile.ZipFile(source) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        drawings = []
        for name in names:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                drawings.append((np.asarray(image.convert("L")) < 128).astype(np.uint8))
    return drawings


def _idx_files(folder: str, bases: tuple[str, ...], digests: tuple[str, str, str, str]) -> Origin:
    """The four files of MNIST and of its look-alikes."""
    names = [
        f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
    ]
    return Origin(
        folder,
        tuple(
            RemoteFile(name, tuple(base + name for base in bases), f"sha256:{digest}")
            for name, digest in zip(names, digests, strict=True)
        ),
    )


_LAROCHELLE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/binarized_mnist_"
_LAKE = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_"

ORIGINS: dict[str, Origin] = {
    "mnist": _idx_files(
        "mnist",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": _idx_files(
        "fashion_mnist",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    "binarized-mnist": Origin(
        "binarized_mnist",
        (
            RemoteFile(
                "binarized_mnist_train.amat",
                (_LAROCHELLE + "train.amat",),
                "sha256:ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            ),
            RemoteFile(
                "binarized_mnist_valid.amat",
                (_LAROCHELLE + "valid.amat",),
                "sha256:1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            ),
            RemoteFile(
                "binarized_mnist_test.amat",
                (_LAROCHELLE + "test.amat",),
                "sha256:e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            ),
        ),
        product="binarized_mnist.npz",
        convert=amat_to_npz,
    ),
    "omniglot": Origin(
        "omniglot",
        (  # only md5 sums of these are published
            RemoteFile(
                "images_background.zip", (_LAKE + "background.zip",), "md5:68d2efa1b9178cc56df9314c21c6e718"
            ),
            RemoteFile(
                "images_evaluation.zip", (_LAKE + "evaluation.zip",), "md5:6b91aef0f799c5bb55b94e3f2daec811"
            ),
        ),
        product="omniglot28.npz",
        convert=omniglot_to_npz,
    ),
}
