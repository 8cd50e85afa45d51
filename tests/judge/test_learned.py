"""LPIPS, DISTS and FID's Inception through their authors' packages, with random weights: no test downloads any."""

import numpy as np
import pytest

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale, upscale
from srstudy.judge.distributions import frechet, moments, network
from srstudy.judge.learned import learned_distance

torch = pytest.importorskip("torch", reason="the group `metrics` is not installed", exc_type=ImportError)
for package in ("torchvision", "lpips", "DISTS_pytorch", "torch_fidelity"):
    pytest.importorskip(package, reason="the group `metrics` is not installed")


@pytest.fixture(scope="module")
def backbones(tmp_path_factory) -> dict:
    """Files of random AlexNet and VGG16 as torchvision saves them."""
    from torchvision.models import get_model

    folder, files = tmp_path_factory.mktemp("backbones"), {}
    torch.manual_seed(0)
    for name in ("alexnet", "vgg16"):
        files[name] = folder / f"{name}.pth"
        torch.save(get_model(name).state_dict(), files[name])
    return files


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A file of a random Inception of 2015."""
    from torch_fidelity import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:  # it can't be built without weights
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        random = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(random.state_dict(), path)
    return path


@pytest.fixture
def pair(photo) -> tuple[np.ndarray, np.ndarray]:
    hr = photo[:88, 100:196]
    return hr, upscale(downscale(hr))


def as_torch(image: np.ndarray):
    """[1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None]


def test_lpips_is_its_equation_over_torchvision_s_alexnet(backbones, pair):
    """Zhang et al. 2018, equation 1, written out; the heads are those of the package."""
    import lpips
    from torchvision.models import alexnet

    network = alexnet().eval()
    network.load_state_dict(torch.load(backbones["alexnet"]))
    heads = torch.load(f"{lpips.__path__[0]}/weights/v0.1/alex.pth", map_location="cpu")
    mean, deviation = (
        torch.tensor(values)[:, None, None] for values in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
    )
    maps, expected = [(2 * as_torch(image) - 1 - mean) / deviation for image in pair], 0.0
    with torch.no_grad():
        for number, layer in enumerate(network.features):
            maps = [layer(x) for x in maps]
            if number in (1, 4, 7, 9, 11):
                a, b = (x / (x.norm(dim=1, keepdim=True) + 1e-10) for x in maps)
                head = heads[f"lin{(1, 4, 7, 9, 11).index(number)}.model.1.weight"]
                expected += float(((a - b) ** 2 * head).sum(dim=1).mean())
    found = learned_distance("lpips-alex", backbones["alexnet"])(*pair)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found > 0


@pytest.mark.slow
def test_dists_is_its_equations_over_torchvision_s_vgg16(backbones, pair):
    """Ding et al. 2020, equations 5 to 8, written out; alpha and beta are those of the package."""
    import DISTS_pytorch
    from torchvision.models import vgg16

    network = vgg16()
    network.load_state_dict(torch.load(backbones["vgg16"]))
    heads = torch.load(f"{DISTS_pytorch.__path__[0]}/weights.pt", map_location="cpu")
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    window = torch.tensor([1.0, 2.0, 1.0])
    window = (window[:, None] * window)[None, None] / 16
    depths = [[as_torch(image)[0] for image in pair]]
    maps = [(as_torch(image) - mean) / deviation for image in pair]
    with torch.no_grad():
        for layer in network.features[:30]:
            if isinstance(layer, torch.nn.MaxPool2d):  # L2 pooling instead
                depths.append([x[0] for x in maps])
                squares = ((x**2).swapaxes(0, 1) for x in maps)
                pooled = (torch.nn.functional.conv2d(x, window, stride=2, padding=1) for x in squares)
                maps = [(x.swapaxes(0, 1) + 1e-12).sqrt() for x in pooled]
            else:
                maps = [layer(x) for x in maps]
        depths.append([x[0] for x in maps])
        alike = []
        for a, b in depths:
            (mean_a, mean_b), product = (x.mean(dim=(1, 2)) for x in (a, b)), (a * b).mean(dim=(1, 2))
            variances = sum(x.var(dim=(1, 2), correction=0) for x in (a, b))
            texture = (2 * mean_a * mean_b + 1e-6) / (mean_a**2 + mean_b**2 + 1e-6)
            structure = (2 * (product - mean_a * mean_b) + 1e-6) / (variances + 1e-6)
            alike.append((texture, structure))
        textures, structures = map(torch.cat, zip(*alike))
        alpha, beta = heads["alpha"].flatten(), heads["beta"].flatten()
        expected = 1 - ((alpha * textures).sum() + (beta * structures).sum()) / (alpha.sum() + beta.sum())
    distance = learned_distance("dists", backbones["vgg16"])
    assert distance(*pair) == pytest.approx(float(expected), abs=1e-5)
    assert distance(*pair) > 1e-3
    assert distance(pair[0], pair[0]) == pytest.approx(0, abs=1e-5)


def test_a_wrong_backbone_image_or_name_is_one_sentence(backbones, pair, tmp_path):
    with pytest.raises(StudyError, match=r"alexnet\.pth: not the weights of dists \(vgg16\); give those\.$"):
        learned_distance("dists", backbones["alexnet"])
    code = tmp_path / "code.pth"
    torch.save({"print": print}, code)
    with pytest.raises(StudyError, match=r"code\.pth: not the weights of lpips-alex \(alexnet\); give those\.$"):
        learned_distance("lpips-alex", code)
    with pytest.raises(StudyError, match=r"none\.pth: no such file of weights"):
        learned_distance("lpips-alex", tmp_path / "none.pth")
    with pytest.raises(StudyError, match="metric 'ssim': unknown; choose one of lpips-alex, lpips-vgg, dists"):
        learned_distance("ssim")
    with pytest.raises(StudyError, match="give equal sizes from 32 px on"):
        learned_distance("lpips-alex", backbones["alexnet"])(pair[0], pair[1][:80])
    with pytest.raises(StudyError, match=r"alexnet\.pth: not the weights of inception-2015; give those\.$"):
        network("inception-2015", backbones["alexnet"])


@pytest.mark.slow
def test_fid_of_the_inception_of_2015_is_torch_fidelity_s(inception, photo, tmp_path):
    """Vectors of the same weights, and the distance of their Gaussians."""
    from torch_fidelity import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception))
    ours, sides, expected = network("inception-2015", inception), [], []
    first = slice(0, 200)  # of 2,048 features, whose eigenvalues take a minute
    for image in (photo[:128, :128], photo[:128, 128:256]):
        sides.append(moments([image], ours, 64))
        patches = [image[top : top + 64, left : left + 64] for top in (0, 64) for left in (0, 64)]
        with torch.no_grad():
            vectors = theirs(torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2))[0].numpy()
        np.testing.assert_allclose(sides[-1].sample, vectors, rtol=1e-3, atol=1e-4 * vectors.max())
        vectors = vectors[:, first].astype(float)
        expected.append({"mu": vectors.mean(axis=0), "sigma": np.cov(vectors, rowvar=False)})
    found = frechet(*(part for side in sides for part in (side.mean[first], side.covariance[first, first])))
    name = "frechet_inception_distance"
    assert found == pytest.approx(fid_statistics_to_metric(*expected, verbose=False)[name], rel=1e-3)
