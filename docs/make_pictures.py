"""Draw one photo under every method: the small pictures of the start page.

``python docs/make_pictures.py [METHOD ...]`` writes ``docs/_static/methods/METHOD.jpg`` and what
pages tell of it (``pictures.json``). All methods take about half an hour on two cores; the methods
that are named are drawn again and the others kept. A new method gets its picture by this.

``--patterns FILE`` is for pattern-net and pattern-attribution, and made by
``onnxplain patterns efficientnet-lite0 PHOTOS --limit 300 -o FILE``. Methods for transformers have
no picture, as the zoo has no transformer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import PIL.Image

import onnxplain
from onnxplain import registry
from onnxplain.image import resize
from onnxplain.plot.colours import blend, choose_scale, convert_to_grey, to_bytes, to_floats

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "coffee.jpg"
FOLDER = ROOT / "docs" / "_static" / "methods"
FACTS = FOLDER / "pictures.json"
SIDE = 224
ALPHA = 0.6
CUT = 0.004  # of the pixels, at either end: else a few of them leave maps of pixels dark

# With an inpainter, methods are drawn with fewer samples: an inpaint costs five classifications.
GENERATIVE: dict[str, dict[str, Any]] = {
    "sp-g": {"share": 43},
    "lime-g": {"n_samples": 500},
    "rise-g": {"n_masks": 500},
}

PATTERNED = ("pattern-net", "pattern-attribution")


@click.command(help=__doc__)
@click.argument("names", metavar="[METHOD]...", nargs=-1)
@click.option("--patterns", default="", help="The file of patterns.")
def main(names: tuple[str, ...], patterns: str) -> None:
    """Draw the methods that are named, or all that can be drawn."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    classifier = onnxplain.load("efficientnet-lite0")
    for name in names or list_names(patterns):
        base, fill = registry.split_generative(name)
        parameters = GENERATIVE.get(name, {})
        files = {"patterns": patterns} if base in PATTERNED else {}
        explanation = onnxplain.explain(
            classifier,
            PHOTO,
            registry.make_method(base, {**parameters, **files}),
            fill=onnxplain.Inpaint(onnxplain.load_inpainter()) if fill else None,
            progress=False,
        )
        draw(explanation).save(FOLDER / f"{make_file_name(name)}.jpg", quality=82)
        write_facts(name, parameters, explanation)
        print(f"{name}: {explanation.evaluations} evaluations, {explanation.seconds:.1f} s")


def list_names(patterns: str) -> list[str]:
    """List the methods that the classifier of the zoo can be explained by."""
    drawn = [
        name
        for name, cls in registry.get_methods().items()
        if ".attention." not in cls.__module__ and (patterns or name not in PATTERNED)
    ]
    return [*drawn, *GENERATIVE]


def make_file_name(method: str) -> str:
    """Return the name of a method's picture without the signs that links have to escape."""
    return method.replace("+", "plus")


def draw(explanation: onnxplain.Explanation) -> PIL.Image.Image:
    """Draw the map over the part of the photo that the classifier saw."""
    box = explanation.window
    assert explanation.photo is not None
    assert box is not None
    rows, columns = (
        slice(round(box.top), round(box.bottom)),
        slice(round(box.left), round(box.right)),
    )
    photo = resize(to_floats(explanation.photo[rows, columns]), (SIDE, SIDE), antialias=True)
    values = resize(explanation.heatmap.astype(np.float32), (SIDE, SIDE), antialias=True)
    colours = choose_scale(np.clip(values, *np.quantile(values, (CUT, 1 - CUT)))).colour(values)
    return PIL.Image.fromarray(to_bytes(blend(convert_to_grey(photo), colours, ALPHA)))


def write_facts(
    name: str, parameters: Mapping[str, Any], explanation: onnxplain.Explanation
) -> None:
    """Keep what the page says below a picture."""
    facts = json.loads(FACTS.read_text()) if FACTS.exists() else {}
    facts[name] = {
        "parameters": parameters,
        "evaluations": explanation.evaluations,
        "inpaints": explanation.inpaints,
        "meaning": explanation.meaning.text,
    }
    FACTS.write_text(json.dumps(dict(sorted(facts.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
