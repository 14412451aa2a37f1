"""The report as one page: self-contained, escaped, accessible."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

from connector.model import LegState
from connector.reconcile.report import Report, RunCounts
from connector.reconcile.report_chart import MOST_RUNS, chart, nice_top
from connector.reconcile.report_html import report_html
from tests.reconcile.harbour import NOW, harbour
from tests.reconcile.report_builders import OBJECTION, leg, made, runs

_VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})
_ALLOWED = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "bdi",
        "svg",
        "desc",
        "line",
        "text",
        "rect",
        "polyline",
        "circle",
    ]
)


class Page(HTMLParser):
    """What a parser sees: elements, attributes, text, and whether everything closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all_of(self, tag: str) -> str:
        return "".join(self.texts.get(tag, []))


def whole() -> Report:
    return made(
        leg(name='=HYPERLINK("http://x") <b>Test</b>'),
        leg("1608", LegState.CONFLICT, detail="<script>alert(1)</script>"),
        stopped=[replace(OBJECTION, text="<img src=x onerror=alert(1)> & more", commands=("connector 'a' \"b\"",))],
        history=runs(12),
        school='"><script>x</script>',
        audit_head="9:abc",
    )


def test_hostile_names_stay_text() -> None:
    page = Page(report_html(whole()))

    assert set(page.tags) <= _ALLOWED
    assert '=HYPERLINK("http://x") <b>Test</b> (C1059)' in page.texts["bdi"]
    assert "<img src=x onerror=alert(1)> & more" in page.texts["td"]
    assert "<script>x</script>" in page.all_of("title")


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = Page(report_html(whole()))

    names = {name for _, name, _ in page.attributes}
    assert not names & {"src", "href", "style", "action", "srcset", "background"}
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in page.all_of("style")
    assert "@import" not in page.all_of("style")


def test_the_content_security_policy_fits_the_style_and_allows_nothing_else() -> None:
    page = Page(report_html(whole()))

    policy = next(v for _, name, v in page.attributes if name == "content" and "default-src" in v)
    digest = base64.b64encode(hashlib.sha256(page.all_of("style").encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_page_has_a_language_dark_colours_and_a_print_style() -> None:
    html = report_html(whole())

    assert '<html lang="en">' in html
    assert "@media (prefers-color-scheme:dark)" in html
    assert "@media print" in html


def test_the_sections_stand_in_the_same_order_as_in_the_report() -> None:
    made_report = whole()

    page = Page(report_html(made_report))

    titles = [text.split(" (")[0] for text in page.texts["h2"]]
    assert titles[: len(made_report.sections)] == [s.title for s in made_report.sections]


def test_outside_the_authority_role_the_page_does_not_tell_a_court_order() -> None:
    html = report_html(made(leg("1111"), discreet=True)).casefold()

    assert "access-ended" in html
    assert not [w for w in ("restrict", "court", "barred") if w in html]


def test_a_run_with_nothing_to_say_says_so() -> None:
    empty = replace(whole(), sections=(), notes=(), history=())

    page = Page(report_html(empty))

    assert "Nothing was to be done." in page.texts["p"]
    assert "svg" not in page.tags


# --- the picture ----------------------------------------------------------------------------------------------------


def test_the_picture_has_a_title_a_description_and_labelled_axes() -> None:
    page = Page(report_html(whole()))

    assert ("svg", "role", "img") in page.attributes
    assert ("svg", "aria-labelledby", "chart-title chart-desc") in page.attributes
    assert "People closed, held and open in the last 12 runs" in page.texts["title"]
    assert {"People", "Run, by date", "closed", "held", "open"} <= set(page.texts["text"])
    assert page.all_of("desc").startswith("From 2026-11-09 to 2026-11-20.")


def test_the_picture_keeps_to_the_last_runs_and_inside_its_frame() -> None:
    drawn = chart(runs(MOST_RUNS + 20))

    places = [float(y) for y in re.findall(r' y="([\d.]+)"', drawn)]
    assert drawn.count('<rect class="closed"') == MOST_RUNS + 1
    assert 0 <= min(places) <= max(places) <= 260


def test_the_picture_of_one_run_and_of_empty_runs_can_be_drawn() -> None:
    nothing = RunCounts(NOW, 0, 0, 0, 0)

    assert "NaN" not in chart([nothing])
    assert chart([]) == ""
    assert chart([nothing, nothing]).count("2026-11-21") > 1


def test_the_scale_ends_at_a_round_number_above_the_highest_count() -> None:
    assert [nice_top(n) for n in (0, 1, 4, 5, 46, 80, 81, 1_234)] == [4, 4, 4, 8, 80, 80, 200, 2_000]


def test_the_counts_stand_in_a_table_for_clients_without_pictures() -> None:
    page = Page(report_html(whole()))

    assert {"Closed", "Open", "Held", "Ready"} <= set(page.texts["th"])
    assert harbour().as_of.isoformat() not in page.texts["td"]
    assert "2026-11-20" in page.texts["td"]
