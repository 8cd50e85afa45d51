"""LPIPS and DISTS by their authors' packages, which need PyTorch: `pip install -e ".[metrics]"`.

The packages hold what was learned from people's judgements; the network below it is torchvision's.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from srstudy import StudyError

# PyTorch's CUDA build imports triton, which ends a process that has imported TensorFlow before. No metric needs it.
sys.modules.setdefault("triton", None)

BACKBONES = {"lpips-alex": "alexnet", "lpips-vgg": "vgg16", "dists": "vgg16"}
SMALLEST = 32  # px a side: of a smaller image AlexNet's deepest maps are empty


def learned_distance(metric: str, backbone: Path | None = None) -> Callable[[np.ndarray, np.ndarray], float]:
    """What measures SR against HR, uint8 [H, W, 3], border and all: 0 for equal images, less is better. "lpips-alex"
    or "lpips-vgg" (Zhang et al. 2018, version 0.1), or "dists" (Ding et al. 2020), not resized to 256 px.

    `backbone`: torchvision's file of AlexNet or VGG16; None: downloaded.
    Raises StudyError for an unknown metric, a package or weights that can't be had, and those of another network.
    """
    if metric not in BACKBONES:
        raise StudyError(f"metric '{metric}': unknown; choose one of {', '.join(BACKBONES)}.")
    with loading(f"{metric} ({BACKBONES[metric]})", backbone), _in_place_of_a_download(BACKBONES[metric], backbone):
        if metric == "dists":
            from DISTS_pytorch import DISTS

            network = DISTS().eval()
        else:
            from lpips import LPIPS

            network = LPIPS(net=metric.removeprefix("lpips-"), verbose=False).eval()
            network = partial(network, normalize=True)  # which takes [0, 1] to its own [-1, 1]

    def between(hr: np.ndarray, sr: np.ndarray) -> float:
        import torch

        if hr.shape != sr.shape or min(hr.shape[:2]) < SMALLEST:
            raise StudyError(f"{metric}: images of {hr.shape} and {sr.shape}; give equal sizes from {SMALLEST} px on.")
        both = (torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None] for image in (hr, sr))
        with torch.inference_mode():
            return float(network(*both))

    return between


@contextmanager
def _in_place_of_a_download(name: str, weights: Path | None) -> Iterator[None]:
    """torchvision finds a given file where it looks for earlier downloads."""
    if weights is None:
        yield
        return
    import torch
    from torchvision.models import get_model_weights

    torch.load(weights, weights_only=True)  # torchvision would run code that a file holds
    usual = torch.hub.get_dir()
    with TemporaryDirectory() as folder:
        place = Path(folder, "checkpoints", Path(get_model_weights(name).DEFAULT.url).name)
        place.parent.mkdir()
        shutil.copyfile(weights, place)
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(usual)


@contextmanager
def loading(network: str, weights: Path | None) -> Iterator[None]:
    """What goes wrong while a network gets its weights, from a file or a download (None), as one StudyError."""
    if weights is not None and not Path(weights).is_file():
        raise StudyError(f"{weights}: no such file of weights; check the path.")
    try:
        yield
    except StudyError:
        raise
    except ImportError as error:
        raise StudyError(f"{network}: needs '{error.name}'; run `pip install -e '.[metrics]'`.") from error
    except Exception as error:  # the libraries raise whatever their downloaders and readers met
        if weights is None:
            raise StudyError(f"{network}: its weights can't be had ({error}); give their file.") from error
        raise StudyError(f"{weights}: not the weights of {network}; give those.") from error
