"""Pictures that are composed where they were painted give the scores of composing on the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.core.data import Case
from onnxplain.core.flow import FillQuery, MaskQuery, Query, Reply
from onnxplain.core.protocols import Inpainter, JoinsFills, Masks
from onnxplain.engine.jobs import Job, Outcome
from onnxplain.engine.run import run
from onnxplain.fills import Inpaint, Telea
from onnxplain.masks.families import ArrayMasks, CellMasks, PatchMasks
from onnxplain.runtime import OnnxClassifier, OnnxInpainter
from onnxplain.runtime.session import NOWHERE, Session
from tests.helpers import models, painters
from tests.helpers.masks import make_families
from tests.helpers.painters import load_painter
from tests.helpers.specs import CONVENTIONS, SIZE, classifier_of, photos, spec_of

IMAGE = photos(1)[0]
SHIFTED = PatchMasks(np.stack([np.arange(6), np.arange(6)], axis=1), 4, SIZE)


def make_pair(convention: dict[str, Any], **options: Any) -> tuple[OnnxClassifier, OnnxClassifier]:
    """The same classifier twice: composed on the host, and on the device."""
    channels = 1 if convention.get("colour") == "grey" else 3
    model = models.additive(models.weights(SIZE)[..., :channels], **convention)
    spec = spec_of(**convention)
    return (
        classifier_of(model, spec, **options),
        classifier_of(model, spec, on_device=True, **options),
    )


@pytest.fixture
def painter(tmp_path: Path) -> OnnxInpainter:
    return load_painter(painters.plain(), tmp_path)


def ask(classifier: OnnxClassifier, fill: Any, *queries: Query) -> tuple[list[Reply], Outcome[Any]]:
    """The replies to some queries, asked in turn."""

    def flow() -> Any:
        replies = []
        for query in queries:
            reply = yield query
            replies.append(reply)
        return replies

    job = Job((Case("photo", IMAGE, 1),), (flow(),), fill)
    (outcome,) = run(classifier, [job])
    assert outcome.error is None
    return outcome.values[0], outcome


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize("family", make_families())
def test_scores_are_those_of_composing_on_the_host(
    family: str, convention: dict[str, Any], painter: OnnxInpainter
) -> None:
    query = MaskQuery(make_families(9)[family], kind="raw")
    (expected,), on_host = ask(make_pair(convention)[0], Inpaint(painter), query)
    (reply,), on_device = ask(make_pair(convention)[1], Inpaint(painter), query)
    short = convention.get("dtype", "float32") != "float32"  # pixels near a half may round apart
    np.testing.assert_allclose(reply.scores, expected.scores, rtol=0, atol=5e-3 if short else 1e-5)
    assert on_device.effort.inpaints == on_host.effort.inpaints > 0
    assert on_device.effort.inpaint_seconds > 0


@pytest.mark.parametrize("share", [2, 3])
def test_masks_that_share_a_hole_share_its_picture(share: int, painter: OnnxInpainter) -> None:
    masks = make_families(8)["bits"].render(0, 8)
    holes = np.repeat(masks[::share], share, axis=0)[:8]
    inside = ArrayMasks(masks * holes * np.float32(0.7))
    query = MaskQuery(inside, kind="raw", holes=ArrayMasks(holes))
    host, device = make_pair({})
    (expected,), on_host = ask(host, Inpaint(painter), query)
    (reply,), on_device = ask(device, Inpaint(painter), query)
    np.testing.assert_allclose(reply.scores, expected.scores, rtol=0, atol=1e-5)
    assert on_device.effort.inpaints == on_host.effort.inpaints


def test_pictures_asked_for_come_from_the_device_as_painted_and_are_not_painted_again(
    painter: OnnxInpainter,
) -> None:
    host, device = make_pair({})
    masks = CellMasks(np.random.default_rng(0).random((5, 3, 4)) < 0.5, SIZE)
    queries = MaskQuery(masks), FillQuery(masks)
    (_, expected), _ = ask(host, Inpaint(painter), *queries)
    (_, reply), outcome = ask(device, Inpaint(painter), *queries)
    np.testing.assert_array_equal(reply.images, expected.images)
    assert outcome.effort.inpaints == 5


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The number of masks and of pictures of each run that composes some."""
    seen: list[tuple[int, int]] = []
    plain = Session.run

    def count(session: Session, feeds: Any, outputs: Any = (), *, places: Any = NOWHERE) -> Any:
        if "x" in places:
            seen.append((places["x"].n_rows, feeds["pictures"].n_rows))
        return plain(session, feeds, outputs, places=places)

    monkeypatch.setattr(Session, "run", count)
    return seen


def take(masks: Masks, rows: Sequence[int]) -> NDArray[np.float32]:
    return np.concatenate([masks.render(row, row + 1) for row in rows])


@pytest.mark.parametrize(
    ("rows", "runs_expected"),
    [
        ([0, 1, 2, 3, 4, 5], [(6, 6)]),
        ([0, 0, 0, 1, 1, 1], [(3, 1), (3, 1)]),
        ([0, 1, 0, 1, 2, 3], [(2, 2), (4, 4)]),
        ([2, 0, 1, 1, 1, 3], [(3, 3), (2, 1), (1, 1)]),
    ],
)
def test_pictures_that_lie_together_are_composed_in_one_run(
    rows: list[int],
    runs_expected: list[tuple[int, int]],
    painter: OnnxInpainter,
    runs: list[tuple[int, int]],
) -> None:
    query = MaskQuery(ArrayMasks(take(SHIFTED, rows)), kind="raw")
    host, device = make_pair({}, batch_size=6)
    (reply,), _ = ask(device, Inpaint(painter), query)
    assert runs == runs_expected
    (expected,), _ = ask(host, Inpaint(painter), query)
    np.testing.assert_allclose(reply.scores, expected.scores, rtol=0, atol=1e-5)


class Elsewhere:
    """An inpainter of another framework: it gives its pictures to the host."""

    def __init__(self, inpainter: Inpainter) -> None:
        self.inpaint = inpainter.inpaint
        self.batch_size = inpainter.batch_size


def test_pictures_painted_elsewhere_are_composed_on_the_host(
    painter: OnnxInpainter, tmp_path: Path, runs: list[tuple[int, int]]
) -> None:
    host, device = make_pair({})
    assert isinstance(device, JoinsFills)
    rng = np.random.default_rng(0)
    of_one_size = load_painter(painters.lama((32, 32)), tmp_path)  # images are resampled
    query = MaskQuery(SHIFTED, kind="raw")
    for fill in (Telea(), Inpaint(Elsewhere(painter)), Inpaint(of_one_size)):
        assert device.join(IMAGE, fill.prepare(IMAGE, rng)) is None
        (expected,), _ = ask(host, fill, query)
        (reply,), _ = ask(device, fill, query)
        np.testing.assert_array_equal(reply.scores, expected.scores)
    assert device.join(IMAGE, Inpaint(painter).prepare(IMAGE, rng)) is not None
    assert host.join(IMAGE, Inpaint(painter).prepare(IMAGE, rng)) is None
    assert runs == []


def test_an_inpainter_that_fails_ends_its_job_alone(tmp_path: Path) -> None:
    _, device = make_pair({})
    fill = Inpaint(load_painter(painters.plain(empty=0.0), tmp_path))

    def flow(masks: Any) -> Any:
        return (yield MaskQuery(ArrayMasks(masks), kind="raw")).scores

    everything = np.ones((2, *SIZE), np.float32)
    jobs = [
        Job((Case(name, IMAGE, 1),), (flow(masks),), fill)
        for name, masks in (("bad", everything), ("good", SHIFTED.render(0, 2)))
    ]
    outcomes = {outcome.job: outcome for outcome in run(device, jobs)}
    assert "NaN or infinite" in str(outcomes[jobs[0]].error)
    assert outcomes[jobs[1]].error is None
