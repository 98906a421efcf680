"""Text files that come with models and data: damaged ones, and the same written in another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxplain.cli.explain_plan import read_explain_plan
from onnxplain.core.errors import OnnxplainError
from onnxplain.describe.label_files import read_class_names
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph.load import read_model
from onnxplain.results import load_explanation
from onnxplain.study.annotations import read_annotations, read_wnids
from onnxplain.study.plan import read_plan
from onnxplain.study.rows import RowFile, merge_rows, read_rows
from tests.fuzz.mutations import (
    check_refusal,
    encode,
    mutate_bytes,
    mutate_text,
    mutate_value,
    pick,
    to_json,
)
from tests.helpers import models

Rng = np.random.Generator


@dataclass(frozen=True)
class Reader:
    """A file as it should be, what reads it, and the words that its errors hold."""

    name: str
    base: Any  # a text, or a JSON value
    read: Callable[[Path], Any]
    form: str = "text"  # json: written anew from the value; lines: in any ends of lines
    names: tuple[str, ...] = ()


def _describe(path: Path) -> Any:
    """Describe a small model by the file beside it."""
    model = path.parent / "model.onnx"
    onnx.save(models.additive(models.weights((8, 8))), model)
    spec = resolve_spec(read_model(model), {} if path.suffix == ".toml" else {"range": (0, 1)})
    return spec.class_names, spec.mean, spec.std, spec.range, spec.size, spec.colour


def _read_photos(path: Path) -> Any:
    for name in ("red/a.jpg", "b.jpg"):
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).touch()
    source = path.parent if path.suffix == ".xml" else path
    return read_annotations(path.parent, source, lambda note: None)


def _read_written_rows(path: Path) -> Any:
    found = list(read_rows(path))
    merge_rows([path], path.with_name("all.jsonl"))
    again = list(read_rows(path.with_name("all.jsonl")))
    assert len(again) == len({row["key"] for row in found})
    RowFile(path)
    return found


COCO = {
    "images": [
        {"id": 1, "file_name": "red/a.jpg", "width": 50, "height": 60},
        {"id": 2, "file_name": "b.jpg", "width": 20, "height": 10},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30, 40], "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 4, "bbox": [0, 0, 5.5, 6]},
    ],
    "categories": [{"id": 3, "name": "red"}, {"id": 4, "name": "green"}],
}
PREPROCESSOR = {
    "do_resize": True,
    "size": {"height": 8, "width": 8},
    "do_center_crop": True,
    "crop_size": {"height": 8, "width": 8},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 3,
}
CONFIG = {
    "architecture": "resnet",
    "id2label": {"0": "red", "1": "green", "2": "blue"},
    "pretrained_cfg": {
        "input_size": [3, 8, 8],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.4, 0.4, 0.4],
        "std": [0.2, 0.2, 0.2],
        "label_names": ["red", "green", "blue"],
    },
}
ROWS = "".join(
    json.dumps({"key": f"k{i}", "status": status, "image": f"{i}.png", "value": i / 3}) + "\n"
    for i, status in enumerate(("ok", "error", "undefined"))
)
XML = (
    "<annotation><size><width>50</width><height>60</height></size><object><name>n01</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
)
PLAN = (
    'images = "photos"\nannotations = "labels.csv"\nmodels = ["efficientnet-lite0"]\n'
    'methods = ["random", { name = "rise", n_masks = 20 }]\n'
    'fills = [{ name = "blur", sigma = 5 }]\n'
    'metrics = ["localisation", { name = "deletion", step = 500 }]\nlimit = 10\nseed = 1\n'
)
EXPLAIN_PLAN = (
    'target = ["red", "top-3"]\nseed = 1\nfill = "blur:sigma=5"\n[method]\nname = "rise"\n'
)
TOML = (
    'colour = "bgr"\nrange = [0, 255]\nmean = [104, 112, 116.5]\nstd = [255, 255, 255]\n'
    'size = [8, 8]\nhead = "logits"\nclass_names = ["red", "green", "blue"]\n'
)
CSV = (
    "file,class_index,class_name,xmin,ymin,xmax,ymax,width,height\n"
    "red/a.jpg,3,red,1,2,30,40,50,60\n"
)

READERS = (
    Reader("model.toml", TOML, _describe, "lines", ("model",)),
    Reader("preprocessor_config.json", PREPROCESSOR, _describe, "json", ("config", "model")),
    Reader("config.json", CONFIG, _describe, "json", ("config", "model")),
    Reader("labels.txt", "red\ngreen\nblue\n", read_class_names, "lines"),
    Reader("labels.csv", "class_index,class_name\n1,green\n0,red\n", read_class_names, "lines"),
    Reader("labels.json", {"1": "green", "0": "red"}, read_class_names, "json"),
    Reader("coco.json", COCO, _read_photos, "json", ("coco", ".jpg")),
    Reader("boxes.csv", CSV, _read_photos, "lines", ("boxes", ".jpg")),
    Reader("b.xml", XML, _read_photos, "text", ("b.xml", "b.jpg", "work")),
    Reader("wnids.csv", "wnid,class_index,class_name\nn01,0,red\n", read_wnids, "lines"),
    Reader("plan.toml", PLAN, read_plan, "lines"),
    Reader("explain.toml", EXPLAIN_PLAN, read_explain_plan, "lines"),
    Reader("rows.jsonl", ROWS, _read_written_rows, "text"),
    Reader("map.npz", ROWS, load_explanation, "text"),
)


def try_case(rng: Rng, folder: Path) -> str:
    reader = pick(rng, READERS)
    path = folder / reader.name
    text = reader.base if isinstance(reader.base, str) else to_json(reader.base)
    if reader.form != "text" and rng.random() < 0.25:
        return _try_other_writing(rng, reader, path, text)
    if reader.form == "json" and rng.random() < 0.7:
        value = reader.base
        for _ in range(int(rng.integers(1, 4))):
            value = mutate_value(rng, value)
        content = to_json(value).encode("utf-8", "replace")
    elif rng.random() < 0.7:
        content = encode(rng, mutate_text(rng, text))
    else:
        content = mutate_bytes(rng, text.encode())
    path.write_bytes(content)
    try:
        reader.read(path)
    except (OnnxplainError, ValueError) as error:
        return check_refusal(error, *(reader.names or (path.name,)), other=(ValueError,))
    return "right"


def _try_other_writing(rng: Rng, reader: Reader, path: Path, text: str) -> str:
    path.write_text(text)
    wanted = reader.read(path)
    path.unlink()
    if reader.form == "json":
        text = json.dumps(reader.base, indent=int(rng.integers(4)), ensure_ascii=False)
    other = text.replace("\n", pick(rng, ("\n", "\r\n"))).encode(pick(rng, ("utf-8", "utf-8-sig")))
    path.write_bytes(other)
    got = reader.read(path)
    assert got == wanted, (other, got, wanted)
    return "right"
