"""Tests of the inpainter's training: the holes, the first guess and the losses."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL.Image
import pytest
from scipy import ndimage

import onnxplain
from onnxplain.core.data import Box
from onnxplain.fills import Black
from onnxplain.study.dataset import Item

FOLDER = Path(__file__).parents[2] / "model_zoo" / "inpainter"
PHOTO = np.random.default_rng(0).integers(0, 256, (96, 112, 3), np.uint8)


@pytest.fixture(autouse=True)
def add_scripts_to_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the scripts on the path, as they import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


def import_script(name: str) -> ModuleType:
    """Import a script; skip the test if it needs PyTorch and there is none."""
    if name not in ("holes", "metrics", "table1"):
        pytest.importorskip("torch")
    return importlib.import_module(name)


def test_holes_are_seeded_never_empty_and_within_their_size_limits() -> None:
    holes = import_script("holes")
    drawn = [holes.draw_hole(np.random.default_rng(i), PHOTO) for i in range(60)]
    assert all(mask.shape == PHOTO.shape[:2] and mask.any() for mask in drawn)
    again = holes.draw_hole(np.random.default_rng(7), PHOTO)
    np.testing.assert_array_equal(again, drawn[7])
    scale = 96 / holes.REFERENCE
    for i in range(20):
        mask = holes.draw_rectangle(np.random.default_rng(i), PHOTO, low=8, high=64)
        rows, columns = np.ptp(np.argwhere(mask), axis=0) + 1
        assert mask.sum() == rows * columns
        assert 8 * scale - 1 <= min(rows, columns) <= max(rows, columns) <= 64 * scale + 1


def test_push_pull_keeps_known_pixels_and_does_not_read_the_hole() -> None:
    network = import_script("network")
    import torch

    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.random((2, 3, 32, 48), np.float32))
    mask = torch.zeros(2, 1, 32, 48)
    mask[0, :, 4:20, 8:30], mask[1, :, ::2] = 1, 1
    guess = network.push_pull(image, mask)
    known = (mask == 0).expand_as(image)
    torch.testing.assert_close(guess[known], image[known])
    other = torch.where(mask > 0, 1 - image, image)
    torch.testing.assert_close(network.push_pull(other, mask), guess)
    low, high = image[known].min(), image[known].max()
    assert low - 1e-5 <= guess.min() <= guess.max() <= high + 1e-5


def test_rim_weights_fall_with_the_depth_and_the_deepest_place() -> None:
    losses = import_script("losses")
    import torch

    mask = np.zeros((3, 1, 40, 60), np.float32)
    mask[0, 0, 5:33, 10:50] = 1
    mask[1, 0, 5:9, 10:14] = 1
    weight = losses.compute_rim_weights(torch.from_numpy(mask)).numpy()
    for actual, hole in zip(weight[:, 0], mask[:, 0], strict=True):
        depth = ndimage.distance_transform_edt(hole) if hole.any() else np.zeros_like(hole)
        expected = np.exp(-depth / losses.REACH - depth.max() / losses.DEEP)
        np.testing.assert_allclose(actual, expected, rtol=0.12)  # OpenCV's distance is a bit short


def test_moments_are_mean_and_deviation_of_the_features_in_the_hole() -> None:
    losses = import_script("losses")
    import torch

    rng = np.random.default_rng(2)
    x, hole = rng.random((1, 3, 16, 16), np.float32), rng.random((1, 1, 16, 16)) < 0.3
    moments = losses._compute_moments(
        torch.from_numpy(x), torch.from_numpy(hole.astype(np.float32))
    )
    inside = x[0][:, hole[0, 0]]
    np.testing.assert_allclose(moments[0, 0], inside.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(moments[1, 0], np.sqrt(inside.var(axis=1) + 1e-4), rtol=1e-4)


def test_l1_loss_weights_a_hole_by_the_root_of_its_area() -> None:
    losses = import_script("losses")
    import torch

    mask = torch.zeros(2, 1, 20, 20)
    mask[0, :, :10, :10], mask[1, :, :20, :20] = 1, 1
    image = torch.zeros(2, 3, 20, 20)
    alike = losses.compute_l1_loss(image + mask, image, mask)
    small = losses.compute_l1_loss(
        image + mask * torch.tensor([1.0, 0])[:, None, None, None], image, mask
    )
    shares = np.array([0.25, 1.0])
    expected = shares / np.sqrt(shares * shares.mean())
    assert float(alike) == pytest.approx(expected.mean(), rel=1e-5)
    assert float(small) == pytest.approx(expected[0] / 2, rel=1e-5)


def test_spectrum_loss_of_flat_fills_is_the_spectrum_of_the_window() -> None:
    losses = import_script("losses")
    import torch

    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, :40, :40] = 1
    image = torch.full((1, 3, 64, 64), 0.25)
    assert float(losses.compute_spectrum_loss(image, image, mask)) == pytest.approx(0, abs=1e-7)
    taper = np.hanning(33)[:32]
    amplitude = np.abs(np.fft.rfft2(0.5 * np.outer(taper, taper), norm="ortho"))
    amplitude -= np.abs(np.fft.rfft2(0.25 * np.outer(taper, taper), norm="ortho"))
    expected = (amplitude**2 / amplitude.max()).mean()
    loss = losses.compute_spectrum_loss(image + 0.25 * mask.amax(), image, mask)
    # The small number under the root counts where the spectrum is 0.
    assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_spectrum_loss_forgives_where_a_texture_lies_but_not_its_direction() -> None:
    losses = import_script("losses")
    import torch

    def make_waves(phase: float, axis: int) -> torch.Tensor:
        wave = torch.sin(torch.arange(64) * (2 * np.pi * 5 / 32) + phase) * 0.3 + 0.5
        wave = wave[:, None] if axis == 0 else wave
        return wave.expand(1, 3, 64, 64)

    mask = torch.ones(1, 1, 64, 64)
    moved, turned = (
        float(losses.compute_spectrum_loss(make_waves(phase, axis), make_waves(0.0, 1), mask))
        for phase, axis in ((2.0, 1), (0.0, 0))
    )
    assert moved < 0.01 * turned
    far = losses.compute_l1_loss(make_waves(2.0, 1), make_waves(0.0, 1), mask)
    assert float(far) > 0.2


def test_critic_loss_is_the_hinge_over_patches_in_holes() -> None:
    critic = import_script("critic")
    import torch

    torch.manual_seed(0)
    net = critic.Critic(width=4).eval()  # spectral norms stay as they are
    rng = np.random.default_rng(3)
    image, filled = torch.from_numpy(rng.random((2, 2, 3, 64, 64), np.float32))
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, :32, :32], mask[1, :, 8:16] = 1, 1
    with torch.no_grad():
        loss = float(critic.compute_critic_loss(net, filled, image, mask))
        fooling, matching = critic.compute_adversarial_losses(net, filled, image, mask)
        real, fake = net(image, mask), net(filled, mask)
    hinges, scores = [], []
    for scale, (a, _, _), (b, _, _) in zip(critic.SCALES, real, fake, strict=True):
        side = 8 * scale
        shares = mask[:, 0].reshape(2, 64 // side, side, 64 // side, side).mean((2, 4)).numpy()
        whole = shares.mean((1, 2))
        weights = shares / np.sqrt(whole * whole.mean())[:, None, None]
        a, b = a[:, 0].numpy(), b[:, 0].numpy()
        hinges.append((weights * (np.maximum(0, 1 - a) + np.maximum(0, 1 + b))).mean())
        scores.append(-(weights * b).mean())
    assert loss == pytest.approx(np.mean(hinges), rel=1e-5)
    assert float(fooling) == pytest.approx(np.mean(scores), rel=1e-5)
    assert float(matching) > 0


def test_joined_gradient_adds_the_wanted_share_in_the_direction_of_the_critic() -> None:
    critic = import_script("critic")
    import torch

    rng = np.random.default_rng(4)
    others, critics = torch.from_numpy(rng.standard_normal((2, 3, 3, 8, 8)))
    critics *= torch.tensor([1e-3, 1.0, 1e4])[:, None, None, None]
    added = critic.join_gradients(others, critics, 0.5) - others
    for part, direction, other in zip(added, critics, others, strict=True):
        assert float(part.norm()) == pytest.approx(0.5 * float(other.norm()))
        cosine = torch.cosine_similarity(part.flatten(), direction.flatten(), 0)
        assert float(cosine) == pytest.approx(1.0)


def make_arguments(**changes: object) -> argparse.Namespace:
    torch = pytest.importorskip("torch")
    settings = {
        "l1": 1.0,
        "perceptual": 0.0,
        "spectrum": 1.0,
        "adversarial": 1.0,
        "matching": 1.0,
        "clip": 1.0,
        "decay": 0.9,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
    }
    return argparse.Namespace(**(settings | changes))


def test_resumed_step_with_a_critic_is_the_step_of_an_uninterrupted_run(tmp_path: Path) -> None:
    train, photos = import_script("train"), import_script("photos")
    import torch

    args = make_arguments()
    batches = photos.iterate_training_batches([PHOTO], 64, 2, seed=5, first=0, n_threads=2)
    whole = import_script("state").make_state(0, args.device)
    before = [p.clone() for net in (whole.net, whole.critic) for p in net.parameters()]
    for _ in range(2):
        train.run_step(whole, None, next(batches), args)
        whole.step += 1
    whole.save(tmp_path / "latest.pt")
    resumed = import_script("state").make_state(1, args.device)
    resumed.load(tmp_path / "latest.pt")
    again = photos.iterate_training_batches([PHOTO], 64, 2, seed=5, first=2, n_threads=1)
    batch = next(again)
    terms = train.run_step(resumed, None, batch, args)
    assert terms == train.run_step(whole, None, next(batches), args)
    assert {"l1", "spectrum", "critic", "fooling", "matching"} <= set(terms)
    for name in ("net", "average", "critic"):
        for a, b in zip(
            getattr(whole, name).parameters(), getattr(resumed, name).parameters(), strict=True
        ):
            assert torch.equal(a, b)
    after = [p for net in (whole.net, whole.critic) for p in net.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_step_in_bfloat16_has_about_the_losses_of_float32() -> None:
    train, photos, state = map(import_script, ("train", "photos", "state"))
    import torch

    batch = photos.draw_training_batch([PHOTO], 64, 2, np.random.default_rng(12))
    full, short = (
        train.run_step(
            state.make_state(0, torch.device("cpu")),
            None,
            batch,
            make_arguments(dtype=dtype),
        )
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert full == pytest.approx(short, rel=0.1, abs=0.02)


def test_weights_come_back_from_the_exported_graph() -> None:
    network, state = import_script("network"), import_script("state")
    import onnxruntime as ort
    import torch

    net = network.Inpainter()
    state.load_onnx_weights(net, FOLDER / "inpainter.onnx")
    image = torch.rand(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 20:50] = 1
    session = ort.InferenceSession(
        str(FOLDER / "inpainter.onnx"), providers=["CPUExecutionProvider"]
    )
    feeds = {"image": image.numpy(), "mask": mask.numpy()}
    with torch.no_grad():
        np.testing.assert_allclose(net(image, mask), session.run(None, feeds)[0], atol=1e-4)


def test_deep_holes_aim_for_patchmatch_and_others_for_the_image() -> None:
    pytest.importorskip("patchmatch")
    photos = import_script("photos")
    stripes = np.tile(np.uint8([40, 200])[np.arange(256) // 8 % 2], (256, 1))[..., None]
    photo = np.broadcast_to(stripes, (256, 256, 3)).copy()
    deep, shallow = np.zeros((2, 256, 256), bool)
    deep[80:170, 90:180] = shallow[80:170, 90:120] = True
    assert photos.is_deep(deep)
    assert not photos.is_deep(shallow)
    assert not photos.is_deep(np.ones((256, 256), bool))
    spoilt = photo.copy()
    spoilt[deep] = 0
    continued = photos.continue_texture(spoilt, deep)
    np.testing.assert_array_equal(continued[~deep], photo[~deep])
    assert np.abs(continued.astype(int) - photo).mean() < 5  # the stripes go on
    rng = np.random.default_rng(11)
    batch = photos.draw_training_batch([PHOTO], 128, 12, rng, by_patchmatch=True)
    changed = (batch.texture != batch.image).any(1, keepdim=True)
    assert not (changed & (batch.mask == 0)).any()
    deep_ones = [photos.is_deep(mask[0].numpy() > 0) for mask in batch.mask]
    assert 0 < sum(deep_ones) < 12
    assert changed.flatten(1).any(1).tolist() == deep_ones


def test_equal_sets_are_told_apart_half_of_the_time_and_shifted_ones_always() -> None:
    metrics = import_script("metrics")
    real = np.random.default_rng(13).standard_normal((60, 8))
    assert metrics.tell_apart(real, real) == 0.5
    shift = np.eye(8)[0]
    assert metrics.tell_apart(real + 9 * shift, real) == 1.0
    # A shift by one deviation: the best rule is right with probability Phi(1/2) = 0.69.
    many = np.random.default_rng(14).standard_normal((2, 400, 8))
    assert metrics.tell_apart(many[0] + shift, many[1]) == pytest.approx(
        0.6915, abs=0.05
    )  # 3 errors


def test_objects_are_judged_as_they_are_and_under_every_fill(tmp_path: Path) -> None:
    table1 = import_script("table1")
    photo = np.full((300, 400, 3), (30, 90, 160), np.uint8)
    photo[100:200, 150:250] = (220, 40, 40)  # the object is red
    PIL.Image.fromarray(photo).save(tmp_path / "photo.png")
    item = Item("photo.png", tmp_path / "photo.png", 0, (Box(90, 140, 210, 260),))
    classifier = onnxplain.from_callable(
        lambda images: images.mean(axis=(1, 2)), size=(32, 32), class_names=("r", "g", "b")
    )
    row = table1.judge(
        item, {"black": Black()}, classifier, lambda a, b: float(np.abs(a - b).mean())
    )
    assert row["photo"] == "photo.png"
    # The photo's centre square of 300 px is brought to 256 px; the box has 120 px a side.
    assert row["area"]["boxes"] == pytest.approx((120 / 300) ** 2, abs=0.01)
    assert 0.1 < row["area"]["shapes"] < row["area"]["boxes"]  # the shape has 100 px, widened
    for mask in ("boxes", "shapes"):
        real, filled = row["fills"][mask][table1.REAL], row["fills"][mask]["black"]
        assert real["ms_ssim"] == pytest.approx(1)
        assert real["st_lpips"] == 0 < filled["st_lpips"]
        assert filled["probability"] < real["probability"]  # the red is gone
