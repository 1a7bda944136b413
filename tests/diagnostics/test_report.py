"""The page: complete, small, self-contained; and in a real browser down to a hover."""

import base64
import html
import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gatewise
from gatewise.diagnostics import Trace
from gatewise.diagnostics.report_contents import MOST_POINTS, AttentionMap, ChangeMap, Heading

TEXT = "the cat </script> sat\non & the <b>mat</b>"


class Characters(nn.Module):
    def __init__(self, layers: int = 2, hidden: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, 8)
        self.recurrent = gatewise.LSTM(8, hidden, layers)
        self.out = nn.Linear(hidden, 128)


def trace_of(text: str, layers: int = 2, hidden: int = 16) -> Trace:
    torch.manual_seed(0)
    model = Characters(layers, hidden)
    tokens = torch.tensor([ord(letter) for letter in text])[:, None]
    clip = gatewise.Clip(norm=1e-3)
    with gatewise.watch(model) as trace:
        for _ in range(3):
            model.out(model.recurrent(model.embedding(tokens))[0]).logsumexp(-1).mean().backward()
            clip(model)
    return trace


def data_of(page: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_report_is_complete(tmp_path: Path):
    trace = trace_of(TEXT)
    path = trace.report(tmp_path / "report.html", tokens=list(TEXT))
    assert list(tmp_path.iterdir()) == [path]
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert not re.search(r"\b(src|href)=", page)
    data = data_of(page)
    flow = trace.gradient_flow()
    series = {one["key"]: one["values"] for group in data["flow"] for one in group["series"]}
    assert series.keys() == flow.keys()
    for key, values in series.items():
        torch.testing.assert_close(torch.tensor(values), flow[key], rtol=1e-3, atol=0)
    assert [gate["key"] for gate in data["gates"]] == list(trace.gates())
    assert all((gate["steps"], gate["units"]) == (len(TEXT), 16) for gate in data["gates"])
    assert all(sum(gate["histogram"]) == pytest.approx(1, abs=1e-3) for gate in data["gates"])
    assert all(sorted(gate["order"]) == list(range(16)) for gate in data["gates"])
    assert "".join(data["tokens"]) == TEXT
    assert [clipped for _, clipped in data["clips"]] == [clip.clipped for clip in trace.clips]
    assert [one["kind"] for one in data["findings"]] == [finding.kind for finding in trace.diagnose()]


def test_heading(tmp_path: Path):
    heading = Heading("a </script> run", {"data": "texts.csv", "trained": "2026-11-28 18:40 UTC"})
    page = trace_of("abcd").report(tmp_path / "report.html", heading=heading)
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["title"] == "a </script> run"
    assert data["facts"][:2] == [["data", "texts.csv"], ["trained", "2026-11-28 18:40 UTC"]]
    assert datetime.strptime(data["facts"][2][1], "%Y-%m-%d %H:%M").year >= 2026
    assert (
        data_of(trace_of("ab").report(page).read_text(encoding="utf-8"))["title"] == "What happens inside the network"
    )


def test_heat_map_values_follow_its_order(tmp_path: Path):
    trace = trace_of(TEXT, 1)
    (gate, *_) = data_of(trace.report(tmp_path / "report.html").read_text(encoding="utf-8"))["gates"]
    rows = torch.frombuffer(bytearray(base64.b64decode(gate["data"])), dtype=torch.uint8).reshape(16, len(TEXT))
    values = trace.gates()[gate["key"]][:, 0, gate["order"]].t()
    torch.testing.assert_close(rows / 254, values, atol=0.5 / 254 + 1e-6, rtol=0)


def test_no_token_ends_the_script(tmp_path: Path):
    tokens = ["</script>", "<!--", "<script>", "\u2028"]
    data = data_of(trace_of("abcd").report(tmp_path / "report.html", tokens=tokens).read_text(encoding="utf-8"))
    assert data["tokens"] == tokens


def test_attributions_of_predictions(tmp_path: Path):
    trace = trace_of("abcd")
    attributions = [("x", [0.5, -1.0, 0.25, 0.0]), ("</script>", [1.0, 2.0, 3.0, 4.0])]
    data = data_of(
        trace.report(tmp_path / "report.html", tokens=list("abcd"), attributions=attributions).read_text(
            encoding="utf-8"
        )
    )
    assert [(one["prediction"], one["values"]) for one in data["attributions"]] == attributions
    for tokens in (None, list("abc")):
        with pytest.raises(ValueError, match="attributions: expected a number for each of the tokens, got 4 for 'x'"):
            trace.report(tmp_path / "other.html", tokens=tokens, attributions=attributions)
    assert not (tmp_path / "other.html").exists()


def test_attention_and_tokens_of_each_module(tmp_path: Path):
    trace = trace_of("abcd", layers=1)
    seen = AttentionMap(["x", "</script>"], ["y"], torch.tensor([[0.25, 0.75]]))
    page = trace.report(tmp_path / "report.html", tokens={"recurrent": list("abcd")}, attention=seen)
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["attention"] == {"source": ["x", "</script>"], "answer": ["y"], "weights": [[0.25, 0.75]]}
    assert data["tokens"] is None
    assert [gate["tokens"] for gate in data["gates"]] == [list("abcd")] * 4
    data = data_of(trace.report(page, tokens={"other": ["a"]}).read_text(encoding="utf-8"))
    assert data["attention"] is None
    assert [gate["tokens"] for gate in data["gates"]] == [None] * 4


def test_attributions_of_numbers(tmp_path: Path):
    trace = trace_of("abcd")
    found = ChangeMap("values", ["x", "</script>"], ["y"], torch.tensor([[0.25, -0.75]]))
    page = trace.report(tmp_path / "report.html", changes=[found])
    (displayed,) = data_of(page.read_text(encoding="utf-8"))["changes"]
    assert displayed == {
        "title": "values",
        "causes": ["x", "</script>"],
        "predictions": ["y"],
        "changes": [[0.25, -0.75]],
        "timed": True,
    }
    causes = [str(number) for number in range(MOST_POINTS)]
    many = ChangeMap("many", causes, ["y", "z"], torch.arange(2.0 * MOST_POINTS).reshape(2, -1))
    trace.report(page, changes=[many, many])
    for displayed in data_of(page.read_text(encoding="utf-8"))["changes"]:
        assert displayed["causes"] == causes[-MOST_POINTS // 4 :]
        assert [len(row) for row in displayed["changes"]] == [MOST_POINTS // 4] * 2
        assert page.stat().st_size <= 2_000_000


def test_a_large_trace_stays_small(tmp_path: Path):
    trace = trace_of("x" * 3000, layers=3, hidden=128)
    assert trace.report(tmp_path / "report.html", tokens=["x"] * 3000).stat().st_size <= 2_000_000
    data = data_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Each cell is the mean of" in data["pooled"]


def test_without_a_backward_pass_and_with_values_that_are_not_finite(tmp_path: Path):
    layer = gatewise.GRU(3, 4)
    x = torch.randn(5, 2, 3)
    with gatewise.watch(layer) as trace, torch.no_grad():
        layer(x, lengths=torch.tensor([3, 5]))
    data = data_of(trace.report(tmp_path / "gates.html").read_text(encoding="utf-8"))
    assert data["flow"] == []
    x[2] = torch.nan
    with gatewise.watch(layer) as trace:
        layer(x)[0].sum().backward()
    data = data_of(trace.report(tmp_path / "nan.html").read_text(encoding="utf-8"))
    assert [one["kind"] for one in data["findings"]] == ["not finite"]


def test_missing_folder_leaves_no_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        trace_of(TEXT).report(tmp_path / "missing" / "report.html")
    assert not list(tmp_path.iterdir())


def test_plot():
    pytest.importorskip("matplotlib")
    trace = trace_of(TEXT)
    axes = trace.plot()
    assert [line.get_label() for line in axes.get_lines()] == list(trace.gradient_flow())
    assert axes.get_yscale() == "log"
    assert trace.plot(axes=axes) is axes


def dom(page: Path, script: str, tmp_path: Path) -> str:
    """What the page holds in Chromium, without a network, after a script has run in it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser is not None, "these tests need Chromium"
    changed = tmp_path / "with-script.html"
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
    changed.write_text(text, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    options = [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
    run = subprocess.run([*command, *options, changed.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout


def hovering(selector: str, position: int) -> str:
    """A script that points at one of the elements."""
    return f"""
      const cell = document.querySelectorAll("{selector}")[{position}];
      cell.dispatchEvent(new MouseEvent("mousemove", {{bubbles: true}}));
    """


def tip_of(displayed: str) -> str:
    """The tooltip at the pointer."""
    tip = re.search(r'<div id="tip"[^>]*visibility: visible[^>]*>(.*?)</div>', displayed)
    assert tip is not None
    return html.unescape(tip[1])


@pytest.mark.browser
def test_in_a_browser(tmp_path: Path):
    trace = trace_of(TEXT)
    page = trace.report(tmp_path / "report.html", tokens=list(TEXT))
    step, row = 4, 3
    (gate,) = (one for one in data_of(page.read_text(encoding="utf-8"))["gates"] if one["key"] == "recurrent.l1.f")
    unit = gate["order"][row]
    hover = f"""
      const canvas = document.querySelector('canvas[data-gate="recurrent.l1.f"]'), box = canvas.getBoundingClientRect();
      const x = box.left + ({step} + 0.5) / canvas.width * box.width;
      const y = box.top + ({row} + 0.5) / canvas.height * box.height;
      canvas.dispatchEvent(new MouseEvent("mousemove", {{clientX: x, clientY: y, bubbles: true}}));
    """
    displayed = dom(page, hover, tmp_path)
    value = float(trace.gates()["recurrent.l1.f"][step, 0, unit])
    assert tip_of(displayed) == f'recurrent.l1.f: step {step} "c", unit {unit}: {value:.2f}'
    assert displayed.count("<canvas") == 8
    assert len(re.findall(r'<path d="M[^"]+"[^>]*data-key="recurrent[^"]*[.][hc]"', displayed)) == 4
    assert "ordered by similarity, not by number" in displayed
    assert "3 of 3 steps were clipped" in displayed


@pytest.mark.browser
@pytest.mark.parametrize(("tokens", "tilted"), [(list(TEXT), False), ([f"{one}-word" for one in TEXT], True)])
def test_letters_stand_upright_over_every_step_in_a_browser(tmp_path: Path, tokens: list[str], tilted: bool):
    page = trace_of(TEXT, 1).report(tmp_path / "report.html", tokens=tokens)
    displayed = dom(page, "", tmp_path)
    lines = re.findall(r'<div class="(tokens[^"]*)"[^>]*>(.*?)</div>', displayed)
    assert [kind for kind, _ in lines] == ["tokens" if tilted else "tokens letters"] * 4
    for _, line in lines:
        found = [html.unescape(one) for one in re.findall(r"<span[^>]*>(.*?)</span>", line)]
        assert found == [token.replace("\n", "⏎") for token in tokens]


@pytest.mark.browser
def test_a_point_of_a_curve_in_a_browser(tmp_path: Path):
    trace = trace_of(TEXT, 1)
    page = trace.report(tmp_path / "report.html", tokens=list(TEXT))
    hover = f"""
      const svg = document.querySelector("#flow svg"), box = svg.getBoundingClientRect();
      const x = box.left + (56 + (1080 - 56 - 12) * 4 / {len(TEXT) - 1}) / 1080 * box.width;
      svg.dispatchEvent(new MouseEvent("mousemove", {{clientX: x, clientY: box.top + 9, bubbles: true}}));
    """
    displayed = dom(page, hover, tmp_path)
    norms = [float(f"{float(one[4]):.4g}") for one in trace.gradient_flow().values()]
    found = re.fullmatch(r'step 4 "c": h (\S+), c (\S+)', tip_of(displayed))
    assert found is not None, tip_of(displayed)
    assert [float(one) for one in found.groups()] == pytest.approx(norms, rel=5e-3)


@pytest.mark.browser
def test_attributions_in_a_browser(tmp_path: Path):
    attributions = [("x", [0.5, -1.0, 0.25, 0.0])]
    page = trace_of("abcd").report(tmp_path / "report.html", tokens=list("abcd"), attributions=attributions)
    displayed = dom(page, "", tmp_path)
    assert re.findall(r'<span style="background:(rgba\([^"]+\))">(.)</span>', displayed) == [
        ("rgba(214,69,65,0.500)", "a"),
        ("rgba(52,120,190,1.000)", "b"),
        ("rgba(214,69,65,0.250)", "c"),
        ("rgba(52,120,190,0.000)", "d"),
    ]


@pytest.mark.browser
def test_attention_in_a_browser(tmp_path: Path):
    seen = AttentionMap(["x", "y"], ["z"], torch.tensor([[0.25, 0.75]]))
    page = trace_of("ab", 1).report(tmp_path / "report.html", tokens={"recurrent": ["p", "q"]}, attention=seen)
    displayed = dom(page, hovering(".matrix td", 1), tmp_path)
    assert re.findall(r'<td style="background:(rgba\([^"]+?\));', displayed) == [
        "rgba(31,119,180,0.25)",
        "rgba(31,119,180,0.75)",
    ]
    assert tip_of(displayed) == '"z" looked at "y": 0.75'
    assert re.findall(r'<span style="left:[^"]+">(.)</span>', displayed) == ["p", "q"] * 4


@pytest.mark.browser
def test_attributions_of_numbers_in_a_browser(tmp_path: Path):
    found = ChangeMap("Contributions", ["1960-11", "1960-12"], ["1961-01: 7"], torch.tensor([[0.25, -0.5]]))
    page = trace_of("ab", 1).report(tmp_path / "report.html", tokens=["p", "q"], changes=[found])
    displayed = dom(page, hovering("#changes td", 0), tmp_path)
    assert "<h2>Contributions</h2>" in displayed
    assert re.findall(r'<td style="background:(rgba\([^"]+?\));', displayed) == [
        "rgba(214,69,65,0.500)",
        "rgba(52,120,190,1.000)",
    ]
    assert tip_of(displayed) == "1961-01: 7: +0.25 by 1960-11"


def seen(page: Path, expression: str, tmp_path: Path) -> Any:
    """What an expression of JavaScript is worth in a page."""
    script = f"""
      const seen = document.createElement("pre");
      seen.id = "seen";
      seen.textContent = JSON.stringify({expression});
      document.body.append(seen);
    """
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom(page, script, tmp_path), re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


@pytest.mark.browser
def test_the_head_in_a_browser(tmp_path: Path):
    page = trace_of("ab", 1).report(tmp_path / "report.html", heading=Heading("order-1", {"data": "texts.csv"}))
    displayed = seen(page, "[document.title, $('title').textContent, $('facts').textContent]", tmp_path)
    assert displayed[:2] == ["order-1 · gatewise report", "order-1"]
    assert displayed[2].startswith("datatexts.csvreport20")


@pytest.mark.browser
@pytest.mark.parametrize("text", ["abcd", ["What", "is", "this"], ["1961-01", "1961-02", "1961-03"]])
def test_short_texts_fill_the_width_in_a_browser(tmp_path: Path, text: str | list[str]):
    page = trace_of("x" * len(text), 1).report(tmp_path / "report.html", tokens=list(text))
    expression = """[...document.querySelectorAll(".map")].map(box =>
      [box.clientWidth, box.querySelector("canvas").getBoundingClientRect().width, box.scrollWidth])"""
    for room, width, needed in seen(page, expression, tmp_path):
        assert 0.9 * room < width <= room
        assert needed <= room + 1
    assert seen(page, "[...document.querySelectorAll('#flow text.token')].map(one => one.textContent)", tmp_path) == [
        *text
    ]


@pytest.mark.browser
def test_tokens_under_long_curves_in_a_browser(tmp_path: Path):
    words = [f"word{number}" for number in range(300)]
    page = trace_of("x" * 300, 1).report(tmp_path / "report.html", tokens=words)
    expression = "[...document.querySelectorAll('#flow text.token')].map(one => one.textContent)"
    displayed = seen(page, expression, tmp_path)
    assert 50 < len(displayed) < 100
    assert displayed == words[:: words.index(displayed[1])]
    letters = "the quick brown fox jumps over the lazy dog. " * 20
    page = trace_of("x" * len(letters), 1).report(tmp_path / "report.html", tokens=list(letters))
    displayed = seen(page, expression, tmp_path)
    assert 8 < len(displayed) < 20
    assert all(one in letters for one in displayed)
    page = trace_of("x" * 300, 1).report(tmp_path / "report.html", tokens=[str(step) for step in range(1, 301)])
    assert seen(page, expression, tmp_path) == []
    numbers = seen(page, "[...document.querySelectorAll('#flow text')].map(one => one.textContent)", tmp_path)
    assert {"1", "51", "251"} <= set(numbers)


@pytest.mark.browser
def test_one_unit_along_the_text_in_a_browser(tmp_path: Path):
    trace = trace_of(TEXT, 1)
    page = trace.report(tmp_path / "report.html", tokens=list(TEXT))
    (gate,) = (one for one in data_of(page.read_text(encoding="utf-8"))["gates"] if one["key"] == "o")
    # What is looked at first is the forget gate whose values change most.
    values = trace.gates()["f"][:, 0]
    displayed = seen(
        page, "[$('unit').querySelector('select').value, $('unit').querySelector('input').value]", tmp_path
    )
    assert displayed == ["f", str(int(values.var(dim=0).argmax()))]
    click = """(() => {
      const canvas = document.querySelector('canvas[data-gate="o"]'), box = canvas.getBoundingClientRect();
      const at = {clientX: box.left + 5, clientY: box.top + 7.5 / canvas.height * box.height, bubbles: true};
      canvas.dispatchEvent(new MouseEvent("click", at));
      const panel = $("unit"), input = panel.querySelector("input");
      const spans = [...panel.querySelectorAll("div.reading span")], paths = [...panel.querySelectorAll("path")];
      return {
        gate: panel.querySelector("select").value, unit: +input.value, text: spans.map(one => one.textContent),
        colours: spans.map(one => one.style.background), series: paths.map(one => one.dataset.key),
        marks: maps.map(map => [map.key, map.mark.hidden, parseFloat(map.mark.style.top)]),
      };
    })()"""
    displayed = seen(page, click, tmp_path)
    unit = gate["order"][7]
    assert (displayed["gate"], displayed["unit"]) == ("o", unit)
    assert displayed["text"] == [letter.replace("\n", "⏎") for letter in TEXT]
    values = trace.gates()["o"][:, 0, unit]
    first = displayed["colours"][int(values.argmin())], displayed["colours"][int(values.argmax())]
    assert first[0] != first[1]
    assert displayed["series"] == [*"ifgo"]
    for one in data_of(page.read_text(encoding="utf-8"))["gates"]:
        assert [one["key"], False, pytest.approx(100 * one["order"].index(unit) / 16)] in displayed["marks"]


@pytest.mark.browser
def test_heat_maps_zoom_in_a_browser(tmp_path: Path):
    page = trace_of("x" * 300, 1, 64).report(tmp_path / "report.html", tokens=["x"] * 300)
    expression = """["fit", "in", "in", "out", "out"].map(what => {
      document.querySelector(`[data-zoom=${what}]`).click();
      const box = document.querySelector(".map"), canvas = box.querySelector("canvas").getBoundingClientRect();
      return [canvas.width, canvas.height, box.clientWidth];
    })"""
    fit, one, two, again, least = seen(page, expression, tmp_path)
    assert fit[0] == pytest.approx(fit[2], abs=5)
    assert two[:2] == pytest.approx([2 * one[0], 2 * one[1]])
    assert (again[:2], least[:2]) == (one[:2], fit[:2])
    assert one[0] == 300 * 8  # letters are legible


@pytest.mark.browser
def test_many_rows_show_those_with_the_largest_attributions_in_a_browser(tmp_path: Path):
    changes = torch.full((88, 100), 0.01)
    changes[torch.arange(70, 82)] = 1.0
    changes[:, 60] = 2.0
    names = [f"feature {number}" for number in range(100)]
    rows = [f"{name}: 0.5" for name in names[:88]]
    maps = [ChangeMap("features", names, rows, changes, timed=False), ChangeMap("steps", names, rows, changes)]
    page = trace_of("ab", 1).report(tmp_path / "report.html", changes=maps)
    heads = """[...document.querySelectorAll(".matrix")].map(table =>
      [[...table.rows].slice(1).map(row => row.cells[0].textContent), table.rows[0].cells.length - 1])"""
    (some, columns), (same, steps) = seen(page, heads, tmp_path)
    assert some == same == rows[70:82]
    assert columns == 40
    assert steps == 100  # a time axis is complete
    click = f"""(() => {{
      for (const button of document.querySelectorAll("#changes button")) button.click();
      return {heads};
    }})()"""
    assert seen(page, click, tmp_path) == [[rows, 100]] * 2
    note = seen(page, "document.querySelector('#changes .tools').textContent", tmp_path)
    assert note.startswith("Shown: 12 of 88 lines and 40 of 100 columns, those with the largest changes.")
