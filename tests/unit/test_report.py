"""The report tells the truth, to everybody, and asks nothing of any other place."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any, cast

import numpy as np
import pytest

from client_code.protocol.features import Feature
from federation.model.linear import LinearModel, Preprocessing
from federation.model.quality.metrics import Metrics, evaluate
from federation.report.charts import _client_lines
from federation.report.coefficients import Comparison, comparisons
from federation.report.facts import ClientData, Egress, Run, RunMetrics, Scores
from federation.report.page import Charts, Report, draw_charts, headline, render_report, write_page
from federation.report.tables import metrics_table

CLIENTS = ("client-1", "client-2")
VOID = {"meta", "wbr", "link", "img", "br", "hr", "input"}


def a_report(*, one_class: bool = False, yardsticks: bool = True, n: int = 120, **run: Any) -> Report:
    """Make the report of a small run: two rounds, two clients."""
    rng = np.random.default_rng(0)
    y = np.zeros(n, dtype=int) if one_class else (np.arange(n) % 8 == 0).astype(int)
    federated, pooled, *local = (np.clip(0.3 * y + rng.random(n) * 0.7, 0, 1) for _ in range(4))
    scores = Scores(
        y=y,
        federated=federated,
        pooled=pooled if yardsticks else None,
        local=dict(zip(CLIENTS, local, strict=True)) if yardsticks else {},
    )
    metrics: RunMetrics = {
        "federated": evaluate(y, federated),
        "pooled": evaluate(y, pooled) if yardsticks else None,
        "local": {name: evaluate(y, p) for name, p in scores.local.items()},
    }
    validation = {"num-examples": 20, "loss": 0.3, "roc_auc": None if one_class else 0.8, "accuracy": 0.9}
    rounds: list[dict[str, Any]] = [{"round": 0, "server": metrics["federated"]}]
    rounds += [
        {
            "round": number,
            "seconds": 0.25,
            "server": metrics["federated"],
            "clients": {name: {"given": validation} for name in CLIENTS},
            "rejected": {},
        }
        for number in (1, 2)
    ]
    data = ClientData(
        train_rows=900, train_positives=80, validation_rows=100, validation_positives=9, data_bytes=1_234_567
    )
    settings: dict[str, Any] = {
        "title": "A run",
        "data": "rows.csv",
        "synthetic": False,
        "label": "fraud",
        "columns": 3,
        "features": 3,
        "clients": dict.fromkeys(CLIENTS, data),
        "strategy": "fedavg",
        "parameters": {"max_iter": 10},
        "rounds": 2,
        "seed": 7,
        "resample": "none",
        "seconds": 1.5,
        "versions": {"flwr": "1.41.0"},
        "started": "2026-11-20 14:03 UTC",
    }
    return Report(
        run=Run(**settings | run),
        metrics=metrics,
        rounds=rounds,
        scores=scores,
        egress={name: Egress(messages=5, sent_bytes={"join": 310, "train": 1200}) for name in CLIENTS},
        coefficients={"age": 0.25, "claims": -1.5, "money_sum": 0.5},
        comparisons={
            "age": Comparison("1 SD (9)", per_unit=True),
            "claims": Comparison("1 SD of log(1 + x)"),
            "money_sum": Comparison("1 SD (2)", per_unit=True),
        },
    )


@cache
def _charts() -> Charts:
    return draw_charts(a_report())


def page_of(report: Report) -> str:
    """Return the page of a report with the charts of the plain one, which are drawn once."""
    return write_page(report, _charts())


@pytest.fixture(scope="module")
def html() -> str:
    """Render the plain report once."""
    return render_report(a_report())


class Page(HTMLParser):
    """Collect the elements, ids and text of a page, and check that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the element opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text that is read."""
        if "style" not in self.open:
            self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        """Return an attribute's values across the page."""
        return [value for _, attrs in self.elements if (value := attrs.get(attribute))]


def with_auc(federated: float | None, pooled: float | None, *local: float | None) -> RunMetrics:
    """Make metrics of which only ROC-AUC matters."""
    base = evaluate([0, 1], [0.1, 0.9])

    def at(auc: float | None) -> Metrics:
        return cast("Metrics", {**base, "roc_auc": auc})

    return {
        "federated": at(federated),
        "pooled": at(pooled),
        "local": {f"client-{i}": at(auc) for i, auc in enumerate(local, 1)},
    }


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (
            with_auc(0.853, 0.857, 0.80, 0.82),
            (
                "0.853: 0.004 below the pooled model (0.857) and "
                "0.043 above the mean of clients training alone (0.810)."
            ),
        ),
        (
            with_auc(0.7, 0.7, 0.9),
            (
                "0.700: level with the pooled model (0.700) and "
                "0.200 below the mean of clients training alone (0.900)."
            ),
        ),
        (
            with_auc(0.7, 0.6, None, 0.5),
            (
                "0.700: 0.100 above the pooled model (0.600) and "
                "0.200 above the mean of clients training alone (0.500)."
            ),
        ),
        ({**with_auc(0.7, None), "pooled": None}, "Training together reached ROC-AUC 0.700."),
        (with_auc(None, None, None), "ROC-AUC is undefined: the test rows are all of one class."),
    ],
)
def test_headline_says_which_way_the_comparison_went(metrics: RunMetrics, expected: str) -> None:
    """Better, worse, level or undefined: the sentence follows the numbers."""
    assert headline(metrics).endswith(expected)


def test_an_undefined_figure_has_its_reason() -> None:
    """A dash without a reason would look like a fault: of 120 rows 1 % is one row, of 80 rows 5 % is four."""
    of_120, of_80 = (metrics_table(a_report(n=n).metrics).reasons for n in (120, 80))
    assert of_120 == ["Recall in the top 1 % is undefined: 1 % of the test rows is fewer than 5."]
    assert of_80 == [*of_120, "Recall in the top 5 % is undefined: 5 % of the test rows is fewer than 5."]
    one_class = metrics_table(a_report(one_class=True, n=600).metrics).reasons
    assert "Recall in the top 1 % is undefined: no test row is positive." in one_class


def test_page_asks_nothing_of_any_other_place(html: str) -> None:
    """No link, source, font, style or script comes from elsewhere."""
    page = Page(html)
    assert not re.search(r"https?://", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html))
    assert not re.search(r"@import|url\((?!#)", html)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object"}
    assert all(value.startswith("#") for name in ("href", "xlink:href", "src") for value in page.values(name))


def test_page_is_well_formed(html: str) -> None:
    """Every element is closed, every id is unique, and every reference has its target."""
    page = Page(html)
    ids = Counter(page.values("id"))
    assert html.startswith("<!DOCTYPE html>")
    assert page.open == []
    assert [name for name, count in ids.items() if count > 1] == []
    references = [value[1:] for value in page.values("xlink:href")] + re.findall(r"url\(#([^)]*)\)", html)
    assert set(references) | set(page.values("aria-labelledby")) <= set(ids)


def test_same_report_gives_the_same_page(html: str) -> None:
    """Nothing of the clock, of chance or of an earlier page is in it."""
    assert render_report(a_report()) == html


def test_page_can_be_heard(html: str) -> None:
    """Charts have a text, table headers a scope, wide tables a name and the keyboard's focus."""
    page = Page(html)
    charts = [attrs for tag, attrs in page.elements if tag == "svg"]
    headers = [attrs for tag, attrs in page.elements if tag == "th"]
    regions = [attrs for _, attrs in page.elements if attrs.get("class") == "scroll"]
    assert len(charts) == 7
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    assert all(attrs["scope"] in {"row", "col"} for attrs in headers)
    assert all(attrs["aria-label"] and attrs["tabindex"] == "0" for attrs in regions)
    assert sum(tag == "figcaption" for tag, _ in page.elements) == 7


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_are_announced(*, synthetic: bool) -> None:
    """Made-up rows carry a banner; real rows do not."""
    assert ("SYNTHETIC DATA" in page_of(a_report(synthetic=synthetic))) is synthetic


@pytest.mark.parametrize(
    ("resample", "corrected", "made_up", "doubted"),
    [
        ("none", False, False, False),
        ("balanced", True, False, False),
        ("smote", True, True, False),
        ("unknown", False, False, True),
    ],
)
def test_what_resampling_means_for_probabilities_is_said(
    resample: str, *, corrected: bool, made_up: bool, doubted: bool
) -> None:
    """Corrected ones are said to be, made-up rows get a caveat, and what is unknown is doubted."""
    page = page_of(a_report(resample=resample))
    assert ("Probabilities are corrected to the true prevalence" in page) is corrected
    assert ("Made-up rows change the" in page) is made_up
    assert ("These may not be probabilities" in page) is doubted
    assert "too high by design" not in page


def test_rows_before_and_after_resampling_stand_side_by_side() -> None:
    """What a client trains on, as the terminal says it, and what it observed; – where it does not know."""
    report = a_report(resample="unknown")
    one, *others = report.run.clients
    knows = replace(report.run.clients[one], observed_rows=2_345, observed_positives=81, resample="smote")
    clients = {one: knows} | {name: report.run.clients[name] for name in others}
    page = Page(page_of(replace(report, run=replace(report.run, clients=clients))))
    assert f"{one} 900 80 2,345 81 smote 100 9" in page.text
    assert f"{others[0]} 900 80 – – unknown 100 9" in page.text


def test_rows_that_were_not_resampled_are_counted_once() -> None:
    """The columns before resampling would repeat those after."""
    report = a_report()
    clients = {
        name: replace(data, observed_rows=900, observed_positives=80, resample="none")
        for name, data in report.run.clients.items()
    }
    page = Page(page_of(replace(report, run=replace(report.run, clients=clients))))
    assert "client-2 900 80 none 100 9" in page.text
    assert "before resampling" not in page.text


def test_a_remark_on_the_run_stands_with_what_was_run() -> None:
    """Also one that holds markup; without a remark there is no line for it."""
    assert "<dt>Note</dt><dd>Python 3.13 &lt;b&gt;</dd>" in page_of(a_report(note="Python 3.13 <b>"))
    assert "<dt>Note</dt>" not in page_of(a_report())


def test_undefined_values_come_with_a_reason() -> None:
    """One class among the test rows yields a page with dashes, and says why."""
    text = Page(render_report(a_report(one_class=True))).text
    assert "– ROC-AUC is undefined: the test rows are all of one class." in text
    assert "– Average precision is undefined: no test row is positive." in text
    assert "Undefined in every round: no client's validation rows hold both classes." in text


def test_empty_test_rows_still_give_a_page() -> None:
    """No test rows at all is reported, not raised."""
    assert "there are no test rows" in Page(render_report(a_report(n=0))).text


def test_run_without_yardsticks_shows_the_federated_model_alone() -> None:
    """Where rows are really apart nobody can fit a pooled model, and the page does not pretend."""
    text = Page(render_report(a_report(yardsticks=False))).text
    assert "Federated" in text
    assert "Pooled" not in text
    assert "alone" not in text


def test_table_sets_the_models_side_by_side() -> None:
    """A mean leaves out the clients whose metric is undefined."""
    table = metrics_table(with_auc(0.8, 0.9, 0.5, None, 0.7))
    assert table.columns[:3] == ["Federated", "Pooled", "Local-only, mean"]
    assert table.rows[0].cells == ["0.800", "0.900", "0.600", "0.500", "–", "0.700"]


def test_many_clients_are_summed_up() -> None:
    """The table stays as wide as a page: beyond five clients it shows their extremes."""
    table = metrics_table(with_auc(0.8, 0.9, 0.5, 0.6, None, 0.7, 0.8, 0.9))
    assert table.columns == ["Federated", "Pooled", "Local-only, mean", "lowest", "highest"]
    assert table.rows[0].cells == ["0.800", "0.900", "0.700", "0.500", "0.900"]


def test_what_left_stands_beside_what_stayed(html: str) -> None:
    """Bytes sent, by kind and in all, next to the bytes of the data."""
    text = Page(html).text
    assert "client-1 5 310 B 1.2 kB 1.5 kB 1.2 MB" in text


def test_rejected_updates_are_listed(html: str) -> None:
    """An update that did not reach the model is named with its reason."""
    report = a_report()
    rounds = [*report.rounds[:2], {**report.rounds[2], "rejected": {"client-2": "not finite"}}]
    assert "Every update of every client" in Page(html).text
    text = Page(page_of(replace(report, rounds=rounds))).text
    assert "2 client-2 not finite" in text
    assert "Every update of every client" not in text


def test_single_class_client_is_pointed_out() -> None:
    """The reader learns why a client alone cannot rank."""
    report = a_report()
    data = replace(report.run.clients["client-2"], train_positives=0)
    run = replace(report.run, clients={**report.run.clients, "client-2": data})
    text = Page(page_of(replace(report, run=run))).text
    assert "client-2 holds training rows of one class only" in text
    assert "client-1 holds training rows of one class only" not in text


def test_largest_coefficients_come_first(html: str) -> None:
    """Size decides, not sign."""
    text = Page(html).text
    assert re.search(
        r"claims 1 SD of log\(1 \+ x\) −1\.500 money_ ?sum 1 SD \(2\) \+0\.500 age 1 SD \(9\) \+0\.250", text
    )


def test_names_from_outside_cannot_become_markup() -> None:
    """Labels, columns, clients and reasons are text, in the page and in its charts."""
    evil = "<script>$x^2$&\"'"
    report = a_report(label=evil, title=evil, data=evil)
    rounds = [
        {**entry, "clients": {evil: {"given": {"roc_auc": 0.5}}}, "rejected": {evil: evil}}
        for entry in report.rounds
    ]
    report = replace(
        report, rounds=rounds, coefficients={evil: 1.0}, egress={evil: report.egress["client-1"]}
    )
    page = Page(render_report(report))
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count(evil) >= 6


def test_the_untrained_models_round_counts_for_no_time() -> None:
    """Round 0 asks nobody."""
    report = a_report()
    rounds = [{**entry, "seconds": (0.01, 0.25, 0.75)[entry["round"]]} for entry in report.rounds]
    assert "A round took 0.500 s (median)." in Page(page_of(replace(report, rounds=rounds))).text


def test_clients_figures_stand_at_the_round_whose_model_they_are_of() -> None:
    """What a client says in a round is of the model of the round before; the last one's comes at the end."""
    rounds: list[dict[str, Any]] = [
        {"round": 0},
        {"round": 1, "clients": {"a": {"given": {"roc_auc": 0.5}}, "b": {"given": {"roc_auc": 0.5}}}},
        {"round": 2, "clients": {"a": {"given": {"roc_auc": None}}}},
    ]
    one, other = _client_lines(rounds, {"a": 0.8})
    assert (one.label, one.x) == ("a", [0, 1, 2])
    np.testing.assert_array_equal(one.y, [0.5, np.nan, 0.8])
    assert (other.label, other.x, other.y) == ("b", [0], [0.5])


# Coefficients ----------------------------------------------------------------------------------------------


def _inference(*, tests: bool) -> dict[str, Any]:
    """Make what a model tells of three features, two of which the rows do not tell apart."""

    def figures(b: float | None) -> dict[str, Any]:
        figure = {"coefficient": b, "odds_ratio": b and np.exp(b)}
        others = ("standard_error", "z", "p", "low", "high", "odds_ratio_low", "odds_ratio_high")
        figure |= dict.fromkeys(others, b and abs(b)) if tests else {}
        return figure | {"natural": {name: value and value / 2 for name, value in figure.items()}}

    how = {"method": "inverse information", "confidence": 0.95} if tests else {"reason": "because <so>"}
    shared = None if tests else 0.5
    coefficients = {"small": 0.1, "unseen": None, "large": -2.0, "one": shared, "other": shared}
    return {
        "penalty": "none" if tests else "l2",
        **how,
        "absent": ["unseen"],
        "undetermined": [["one", "other"]],
        "intercept": figures(-1.0),
        "features": [{"name": name} | figures(b) for name, b in coefficients.items()],
    }


@pytest.mark.parametrize("tests", [True, False])
def test_coefficients_have_tests_where_those_are_valid(*, tests: bool) -> None:
    """Without them the page says why, and has no column of them; it names what the rows do not tell apart."""
    html = page_of(replace(a_report(), inference=_inference(tests=tests)))
    section = html[html.index('id="inference"') :].split("</section>")[0]
    table = section[section.index("<table") :]
    head, *lines = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
    columns = re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", head)
    assert ("p" in columns) is ("95 % interval" in columns) is ("Standard error" in columns) is tests
    assert all(len(re.findall(r"<td\b|<th ", line)) == len(columns) for line in lines)
    ranked = re.findall(r"<th scope=\"row\">(.*?)</th>", table)
    assert ranked == [
        "large",
        *(["small", "one", "other"] if tests else ["one", "other", "small"]),
        "intercept",
    ]
    assert ("because &lt;so&gt;" in section) is not tests
    assert "one, other" in section
    assert "<p>No training row has: unseen.</p>" in section
    assert ("undefined" in section) is tests


@pytest.mark.parametrize("tests", [True, False])
def test_every_coefficient_says_what_it_is_for(*, tests: bool) -> None:
    """One SD in the column's unit, its logarithm's, or a comparison; one unit only where that is a number."""
    made_of = (
        Feature(column="age"),
        Feature(column="cost"),
        Feature(column="g", kind="level", level="B"),
        Feature(column="g", kind="other", levels=("A", "B")),
        Feature(column="age", kind="missing"),
    )
    preprocessing = Preprocessing(
        features=tuple(feature.name for feature in made_of),
        log1p=(False, True, False, False, False),
        mean=np.zeros(5),
        scale=np.array([12.345, 2.0, 1.0, 1.0, 1.0]),
        made_of=made_of,
    )
    coef = np.array([0.5, 0.4, 0.3, 0.2, 0.1])
    model = LinearModel(
        label="y",
        preprocessing=preprocessing,
        coef=coef,
        intercept=0.0,
        provenance={},
        references={"g": "A"},
    )
    inference = _inference(tests=tests)
    one = inference["features"][0] | {"natural": {"odds_ratio": 1.0123456}}
    one["natural"] |= {"odds_ratio_low": 0.998, "odds_ratio_high": 2.5} if tests else {}
    inference["features"] = [one | {"name": name} for name in preprocessing.features]
    coefficients = dict(zip(preprocessing.features, coef.tolist(), strict=True))
    told = comparisons(model)
    report = replace(
        a_report(),
        coefficients=coefficients,
        comparisons=told,
        inference=inference,
        references={"g": "A"},
    )
    html = page_of(report)
    expected = ["1 SD (12.3)", "1 SD of log(1 + x)", "against A", "against A", "missing"]
    assert [it.what for it in told.values()] == expected
    for table in ("coefficients", "inference"):
        section = html[html.index(f'<table class="{table}"') :].split("</table>")[0]
        assert [text for text in re.findall(r'<td class="text">(.*?)</td>', section) if text] == expected
    units = re.findall(r"1\.012(?:<br><small>0\.998 to 2\.5</small>)?</td>", section)
    assert units == ["1.012<br><small>0.998 to 2.5</small></td>" if tests else "1.012</td>"]
    assert html.count("reference: g = A") == 1


@pytest.mark.parametrize(
    ("scale", "shown"), [(1e-5, "1.00e-05"), (0.5, "0.5"), (54321.0, "54,321"), (1e9, "1.00e+09")]
)
def test_a_standard_deviation_is_easy_to_read(scale: float, shown: str) -> None:
    """Three digits, whole from a thousand on, powers of ten at the extremes."""
    preprocessing = Preprocessing(features=("x",), log1p=(False,), mean=np.zeros(1), scale=np.array([scale]))
    model = LinearModel(label="y", preprocessing=preprocessing, coef=np.ones(1), intercept=0.0, provenance={})
    assert comparisons(model)["x"].what == f"1 SD ({shown})"


def test_what_no_training_row_has_is_in_no_table() -> None:
    """It is named once, and not counted among the features."""
    inference, coefficients = _inference(tests=True), {"unseen": 0.0, "small": 0.1}
    report = replace(a_report(), inference=inference, coefficients=coefficients)
    text = Page(page_of(report)).text
    assert text.count("unseen") == 1
    assert "on 3 columns (2 features)" in text


@pytest.mark.parametrize(
    ("strategy", "conclusion", "said", "moving"),
    [
        ("fednewton", None, False, False),
        ("fedavg", None, True, False),
        ("fedavg", "still moving after 3 rounds", True, True),
    ],
)
def test_a_combination_of_fits_is_called_no_estimate(
    strategy: str, conclusion: str | None, *, said: bool, moving: bool
) -> None:
    """The reader learns which strategy gives estimates."""
    text = Page(page_of(a_report(strategy=strategy, conclusion=conclusion))).text
    assert ("no estimate to interpret" in text) is said
    assert ("the less so as it was still moving" in text) is moving
    assert ("--strategy fednewton --penalty none" in text) is said


@pytest.mark.parametrize(
    ("positives", "rows", "always", "top"),
    [
        (100, 600, "“negative” would score 0.833", 1),
        (450, 600, "“positive” would score 0.750", 1),
        (20, 120, "“negative” would score 0.833", 5),
        (40, 80, "“negative” would score 0.500", None),
    ],
)
def test_accuracy_is_read_beside_the_more_frequent_class(
    positives: int, rows: int, always: str, top: int | None
) -> None:
    """Whichever that is; a recall is explained only where it is defined."""
    y = (np.arange(rows) < positives).astype(int)
    report = a_report()
    metrics: RunMetrics = {**report.metrics, "federated": evaluate(y, np.linspace(0.1, 0.9, rows))}
    text = Page(page_of(replace(report, metrics=metrics))).text
    assert f"always answering {always} here" in text
    explained = re.findall(r"Recall in the top (\d) % is the share", text)
    assert explained == ([] if top is None else [str(top)])


def test_site_intercepts_have_a_table() -> None:
    """Each client's intercept, with its interval where there is one; new sites get the mean."""
    sites = {"client-1": -0.5, "client-2": 1.25}
    told = {"client-1": {"coefficient": -0.5, "standard_error": 0.125, "low": -0.745, "high": -0.255}}
    inference = _inference(tests=True) | {"features": [], "site_intercepts": told}
    inference["intercept"] = {"p": 0.5, "z": 0.1, "coefficient": 0.375, "standard_error": 0.2}
    shown = replace(a_report(), site_intercepts=sites, inference=inference)
    text = Page(page_of(shown)).text
    assert "client-1 −0.500 −0.745 to −0.255 0.125 client-2 +1.250 – –" in text
    assert "A new site gets the mean of these" in text
    assert "The pooled and the local-only models have one intercept each" in text
    assert "intercept, mean of the clients" in text
    assert "Intercept of each client" not in Page(page_of(a_report())).text
