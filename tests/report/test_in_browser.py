"""Pages in a real browser: what they show is what the files hold, and nothing else happens."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import onnxplain
from onnxplain import Box
from onnxplain.plot.colours import choose_scale
from onnxplain.report import LiveSection, build_page, gather
from onnxplain.report.pictures import to_levels
from onnxplain.results import load_explanation
from onnxplain.study.rows import read_rows
from tests.helpers.browser import open_page
from tests.helpers.explanations import make_explanation
from tests.report.test_write import HOSTILE

pytestmark = pytest.mark.browser

READ_MAP = "i => onnxplain.loadLevels(i).then(g => ({...g, levels: [...g.levels]}))"


@pytest.fixture(scope="module")
def page_of_explained(explained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("page") / "page.html"
    onnxplain.write_report(explained, page)
    return page


@pytest.fixture(scope="module")
def page_of_study(study: onnxplain.Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("page") / "page.html"
    onnxplain.write_report(study, page)
    return page


def wait(visit) -> None:
    """Wait until what was begun in the page is painted."""
    visit.page.wait_for_function("() => new Promise(done => setTimeout(() => done(true), 100))")


def list_explanations(explained: Path):
    """Return the explanations in the order of the page's maps."""
    return [load_explanation(path) for path in sorted(explained.glob("*.npz"))]


def test_maps_and_scores_equal_those_of_the_files(
    browser, explained: Path, page_of_explained: Path
):
    with open_page(browser, page_of_explained) as visit:
        data = visit.page.evaluate("onnxplain.data")
        for i, explanation in enumerate(list_explanations(explained)):
            grid = visit.page.evaluate(READ_MAP, i)
            shown = data["maps"][i]
            values = np.array(grid["levels"]).reshape(grid["height"], grid["width"]) / 255
            values = shown["low"] + values * (shown["high"] - shown["low"])
            half = (shown["high"] - shown["low"]) / 510 + 1e-6
            np.testing.assert_allclose(values, explanation.heatmap, atol=half)
            (case,) = [case for case in data["cases"] if i in case["maps"]]
            assert case["score"] == explanation.score
            assert case["target"] == explanation.target
            box = explanation.window or onnxplain.Box(0, 0, 48, 64)
            assert shown["window"] == [box.top, box.left, box.bottom, box.right]
    visit.assert_silent()


def test_colours_are_those_of_the_figures(browser, explained: Path, page_of_explained: Path):
    first = list_explanations(explained)[0]
    row, column = 20, 11  # of the map
    box = first.window
    y = (box.top + (row + 0.5) / 32 * (box.bottom - box.top)) / 48
    x = (box.left + (column + 0.5) / 32 * (box.right - box.left)) / 64
    with open_page(browser, page_of_explained) as visit:
        visit.page.evaluate("onnxplain.select(0)")
        wait(visit)
        pixel = visit.page.evaluate(
            """([y, x]) => {
              const canvas = document.querySelectorAll("#panels canvas[role=img]")[1];
              const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
              return [...canvas.getContext("2d").getImageData(...at).data];
            }""",
            [y, x],
        )
    colour = choose_scale(first.heatmap).colour(first.heatmap[row, column])
    np.testing.assert_allclose(pixel[:3], colour * 255, atol=4)  # half a pixel beside the middle
    assert pixel[3] == 255


def test_threshold_tells_area_and_box(browser, explained: Path, page_of_explained: Path):
    first = list_explanations(explained)[0]
    levels = to_levels(first.heatmap, choose_scale(first.heatmap))
    inside = levels >= 200
    rows, columns = np.nonzero(inside)
    box, unit = first.window, (first.window.bottom - first.window.top) / 32
    edges = [
        round(box.top + rows.min() * unit),
        round(box.top + (rows.max() + 1) * unit),
        round(box.left + columns.min() * unit),
        round(box.left + (columns.max() + 1) * unit),
    ]
    with open_page(browser, page_of_explained) as visit:
        visit.page.evaluate("onnxplain.select(0)")
        visit.page.locator("#level").fill("200")
        wait(visit)
        text = visit.page.inner_text("#level-out")
    found = re.fullmatch(
        r"≥ (\S+): (\S+) % of what was seen; box rows (\d+)–(\d+), columns (\d+)–(\d+) "
        r"of the photo",
        text,
    )
    scale = choose_scale(first.heatmap)
    assert float(found[1]) == pytest.approx(
        scale.low + 200 / 255 * (scale.high - scale.low), rel=0.01
    )
    assert float(found[2]) == pytest.approx(100 * inside.mean(), rel=0.01)
    assert [int(found[i]) for i in range(3, 7)] == edges


def test_two_maps_are_compared(browser, explained: Path, page_of_explained: Path):
    explanations = list_explanations(explained)
    levels = [to_levels(one.heatmap, choose_scale(one.heatmap)) for one in explanations]
    with open_page(browser, page_of_explained) as visit:
        data = visit.page.evaluate("onnxplain.data")
        first, second, _ = data["cases"][0]["maps"]
        visit.page.evaluate(f"onnxplain.select({first})")
        visit.page.locator("#other").select_option(str(second))
        wait(visit)
        text = visit.page.inner_text("#caption")
        names = [visit.page.locator("#panels figcaption").nth(i).inner_text() for i in range(3)]
    labels = [data["maps"][i]["label"] for i in (first, second)]
    assert names == [*labels, f"{labels[0]} − {labels[1]}"]
    expected = scipy.stats.spearmanr(levels[first].ravel(), levels[second].ravel()).statistic
    assert float(text.split("Rank correlation ")[1].rstrip(".")) == pytest.approx(
        expected, abs=6e-3
    )
    visit.assert_silent()


def test_maps_of_other_parts_of_the_photo_are_compared_where_both_saw_it(browser, tmp_path: Path):
    """A signed map of the middle, 8 x 8 for 40 columns, beside one of all 60 columns."""
    rng = np.random.default_rng(0)
    whole, middle = rng.normal(size=(8, 12)), rng.normal(size=(8, 8))
    whole, middle = (heatmap.astype(np.float32) for heatmap in (whole, middle))
    maps = [
        make_explanation(heatmap=whole),
        make_explanation(method="rise", heatmap=middle, window=Box(0, 10, 40, 50)),
        make_explanation(method="lime", heatmap=np.full((8, 12), 0.5, np.float32)),
    ]
    onnxplain.write_report(maps, tmp_path / "page.html")
    levels = [to_levels(heatmap, choose_scale(heatmap)) for heatmap in (whole[:, 2:10], middle)]
    expected = scipy.stats.spearmanr(*(level.ravel() for level in levels)).statistic
    with open_page(browser, tmp_path / "page.html") as visit:
        for first, second in ((0, 1), (1, 0)):
            visit.page.evaluate(f"onnxplain.select({first})")
            visit.page.locator("#other").select_option(str(second))
            wait(visit)
            text = visit.page.inner_text("#caption").split("Rank correlation ")[1].rstrip(".")
            assert float(text) == pytest.approx(expected, abs=6e-3)
        visit.page.locator("#other").select_option("2")
        wait(visit)
        assert visit.page.inner_text("#caption").endswith("Rank correlation undefined.")
    visit.assert_silent()


def test_a_map_that_rounding_leaves_below_zero_is_compared_without_a_sign(browser, tmp_path: Path):
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    maps = [
        make_explanation(heatmap=ramp * 1.001 - 0.001),
        make_explanation(method="rise", heatmap=ramp),
    ]
    onnxplain.write_report(maps, tmp_path / "page.html")
    with open_page(browser, tmp_path / "page.html") as visit:
        visit.page.locator("#other").select_option("1")
        wait(visit)
        largest = visit.page.locator("#panels figure").nth(2).inner_text().split()[-1]
        assert float(largest) <= 1 / 255
    visit.assert_silent()


def test_removal_of_mp2_is_walked_step_by_step(browser, explained: Path, page_of_explained: Path):
    explanations = list_explanations(explained)
    place = next(i for i, one in enumerate(explanations) if one.method == "mp2")
    trajectory = explanations[place].details["trajectory"]
    with open_page(browser, page_of_explained) as visit:
        visit.page.evaluate(f"onnxplain.select({place})")
        slider = visit.page.locator(".walk.shown input")
        for step in (0, len(trajectory) - 1):
            slider.fill(str(step))
            wait(visit)
            count, score = trajectory[step]
            shown = re.match(
                r"(\S+) % removed: probability (\S+)\. Fill: blur",
                visit.page.inner_text(".walk.shown output"),
            )
            assert float(shown[1]) == pytest.approx(100 * count / 64, rel=0.01)
            assert float(shown[2]) == pytest.approx(score, rel=0.01)
        visit.page.evaluate(f"onnxplain.select({place + 1})")  # of a method without an order
        assert not visit.page.locator(".walk.shown").count()


def test_curves_and_tables_equal_the_files(browser, study, page_of_study: Path):
    rows = [row for row in read_rows(study.output / "rows.jsonl") if row["kind"] == "score"]
    with open_page(browser, page_of_study) as visit:
        data = visit.page.evaluate("onnxplain.data")
        cells = visit.page.evaluate(
            """() => [...document.querySelectorAll("main table.sortable")[0].tBodies[0].rows]
            .map(({cells: [name, cell]}) =>
              [name.textContent, cell.dataset.value, cell.textContent])"""
        )
        visit.page.evaluate("onnxplain.select(0)")
        visit.page.locator(".walk.shown input").first.fill("3")
        wait(visit)
        text = visit.page.locator(".walk.shown output").first.inner_text()
    visit.assert_silent()
    curves = [row["details"]["curve"] for row in rows]
    assert len(data["walks"]) == len(curves)
    for walk in data["walks"]:
        assert min(np.abs(np.array(walk["scores"]) - curve).max() for curve in curves) < 1e-5
    first = next(walk for walk in data["walks"] if walk["map"] == 0)
    assert f"{100 * first['shares'][3]:.3g} % removed" in text
    means = study.tables["means"]
    known = {line[2]: line for line in means.lines if line[1] == "deletion"}
    assert len(cells) == 2
    for name, value, shown in cells:
        line = known[name.strip()]
        assert float(value) == line[5]
        assert f"{line[5]:.4g} [{line[6]:.4g}, {line[7]:.4g}]" in shown


def test_tables_are_sorted_by_a_click(browser, page_of_study: Path):
    with open_page(browser, page_of_study) as visit:
        table = visit.page.locator("main table.sortable").first
        read = "t => [...t.tBodies[0].rows].map(row => Number(row.cells[1].dataset.value))"
        heading = table.locator("thead th button").nth(1)
        for order, sign in (("ascending", 1), ("descending", -1)):
            heading.click()
            assert table.locator("thead th").nth(1).get_attribute("aria-sort") == order
            values = [sign * value for value in table.evaluate(read)]
            assert values == sorted(values)
            assert len(values) == 2


def test_everything_is_reached_by_keys(browser, page_of_explained: Path):
    with open_page(browser, page_of_explained) as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("ArrowRight")
        assert page.evaluate("onnxplain.state.case") == 1
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("2")
        assert page.evaluate("onnxplain.data.cases[0].maps[1] === onnxplain.state.map")
        page.keyboard.press("c")
        assert page.evaluate("onnxplain.state.other !== null")
        page.keyboard.press("c")
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "document.activeElement.id || document.activeElement.className || "
                    "document.activeElement.name || document.activeElement.tagName"
                )
            )
        wanted = {"theme", "back", "on", "method", "other", "screen", "alpha", "level", "thumb"}
        assert wanted <= reached
        page.locator(".screen").first.focus()
        page.keyboard.press("ArrowDown")
        wait(visit)
        assert re.match(r"Row 24, column 32 · \S+: \S+", page.inner_text("#readout"))
        assert page.evaluate("onnxplain.state.case") == 0  # the arrow was for the picture
    visit.assert_silent()


def test_every_picture_and_control_has_a_name(
    browser, page_of_explained: Path, page_of_study: Path
):
    nameless = """() => [...document.querySelectorAll("button, input, select, canvas[role=img], "
      + "svg[role=img], [role=region], section")].filter(element => {
        if (!element.checkVisibility()) return false;
        const label = element.ariaLabel || element.labels?.[0]?.textContent
          || element.querySelector("[aria-label]")?.ariaLabel || element.textContent
          || document.getElementById(element.getAttribute("aria-labelledby"))?.textContent;
        return !label?.trim();
      }).map(element => element.outerHTML.slice(0, 200))"""
    for path in (page_of_explained, page_of_study):
        with open_page(browser, path) as visit:
            wait(visit)
            assert visit.page.evaluate(nameless) == []
            assert visit.page.get_attribute("html", "lang") == "en"


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(browser, page_of_study: Path, dark: bool):
    """WCAG 2.1 AA: 4.5 to 1 between text and what is behind it."""
    measure = """() => {
      const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
      const parse = text => text.match(/[\\d.]+/g).map(Number);
      const behind = element => {
        for (let at = element; at; at = at.parentElement) {
          const colour = parse(getComputedStyle(at).backgroundColor);
          if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
      };
      const low = [];
      for (const element of document.body.querySelectorAll("*")) {
        const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest("script, option")) continue;
        const style = getComputedStyle(element);
        const ink = parse(element.closest("svg") ? style.fill : style.color);
        const [a, b] = [luminance(ink), luminance(behind(element))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) low.push(element.outerHTML.slice(0, 150));
      }
      return low;
    }"""
    with open_page(browser, page_of_study, dark=dark) as visit:
        wait(visit)
        assert visit.page.evaluate(measure) == []


def test_nothing_runs_over_the_edge_of_a_narrow_screen(browser, page_of_study: Path):
    with open_page(browser, page_of_study, width=390) as visit:
        wait(visit)
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_names_do_nothing(browser, explained: Path, tmp_path: Path):
    first = list_explanations(explained)[0]
    hostile = replace(
        first,
        image=f"photos/{HOSTILE}.png",
        target_name=HOSTILE,
        method=HOSTILE,
        fill=HOSTILE,
        meaning=replace(first.meaning, text=HOSTILE),
        details={HOSTILE: HOSTILE, "trajectory": [[0, 0.5], [1, 0.2]]},
        coarse=np.zeros((2, 2), np.float32),
        order=np.array([0]),
    )
    other = replace(first, image=hostile.image)
    onnxplain.write_report([hostile, other], tmp_path / "page.html", title=HOSTILE)
    with open_page(browser, tmp_path / "page.html") as visit:
        visit.page.on("dialog", lambda dialog: visit.errors.append(dialog.message))
        for map_ in (1, 0):
            visit.page.evaluate(f"onnxplain.select({map_})")
            wait(visit)
        visit.page.locator("#other").select_option("1")
        wait(visit)
        assert visit.page.title().startswith("</script>")
        assert "</script>" in visit.page.inner_text("#class")
        assert visit.page.locator("img").count() == 0
    visit.assert_silent()


def test_policy_stops_what_the_page_does_not_know(browser, explained: Path, tmp_path: Path):
    """Were a name to get into the page as markup, it would not run, load or send anything."""
    injected = (
        "<section><script>document.title = 'owned'</script>"
        "<img src='https://example.org/a.png' onerror=\"document.title = 'owned'\">"
        "<style>body { display: none }</style></section>"
    )
    page = build_page(gather([explained], 50), LiveSection(injected, ""), title="Safe")
    (tmp_path / "page.html").write_text(page, "utf-8")
    with open_page(browser, tmp_path / "page.html") as visit:
        wait(visit)
        assert visit.page.title() == "Safe"
        assert visit.page.locator("h1").is_visible()
    assert len([error for error in visit.errors if "Content Security Policy" in error]) >= 3


def test_live_part_runs_and_hears_of_selections(browser, explained: Path, tmp_path: Path):
    live = LiveSection(
        "<section id='live'></section>",
        """document.addEventListener("onnxplain:select", (event) => {
          document.getElementById("live").textContent = `map ${event.detail.map}`;
        });""",
        {"connect-src": ("blob:",)},
        "#live { color: rgb(1, 2, 3); }",
    )
    page = build_page(gather([explained], 50), live)
    (tmp_path / "page.html").write_text(page, "utf-8")
    with open_page(browser, tmp_path / "page.html") as visit:
        visit.page.evaluate("onnxplain.select(4)")
        assert visit.page.inner_text("#live") == "map 4"
        assert visit.page.evaluate("getComputedStyle(document.getElementById('live')).color") == (
            "rgb(1, 2, 3)"
        )
        policy = visit.page.get_attribute("meta[http-equiv]", "content")
        assert "connect-src blob:" in policy
        assert "'unsafe-inline'" not in policy
    visit.assert_silent()


def test_failures_alone_make_a_page(browser, study, tmp_path: Path):
    rows = list(read_rows(study.output / "rows.jsonl"))
    lost = [{**row, "status": "error", "error": "the photo is gone", "value": None} for row in rows]
    lost = [{**row, "details": {}} if row["kind"] == "score" else row for row in lost]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in lost))
    onnxplain.write_report(path, tmp_path / "page.html")
    with open_page(browser, tmp_path / "page.html") as visit:
        wait(visit)
        assert visit.page.locator("#failed-title").inner_text() == f"{len(rows)} failed"
        assert visit.page.locator(".failures tbody tr").count() == len(rows)
    visit.assert_silent()


def test_maps_that_were_not_kept_have_no_controls(browser, study, tmp_path: Path):
    path = tmp_path / "rows.jsonl"  # alone, without the folder of heatmaps
    path.write_bytes((study.output / "rows.jsonl").read_bytes())
    onnxplain.write_report(path, tmp_path / "page.html")
    with open_page(browser, tmp_path / "page.html") as visit:
        wait(visit)
        assert "--keep-heatmaps" in visit.page.locator("#caption").inner_text()
        assert "--keep-heatmaps" in visit.page.locator("#sheet-title + .note").inner_text()
        assert visit.page.locator(".walk.shown").count() == 2
        assert not visit.page.locator(".controls").is_visible()
        assert not visit.page.locator("#readout").is_visible()
    visit.assert_silent()


def test_page_says_something_without_scripts(browser, page_of_explained: Path):
    with open_page(browser, page_of_explained, java_script_enabled=False) as visit:
        assert visit.page.locator(".sheet .thumb").count() == 6
        assert visit.page.locator(".facts").first.is_visible()
        assert not visit.page.locator("#panels").is_visible()
    visit.assert_silent()
