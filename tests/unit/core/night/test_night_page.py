from html.parser import HTMLParser

import pytest

from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_page import list_page, night_page
from fink_k8s.core.night.night_report import sentence_of
from tests.facts import facts_of, restart

EVIL = """died</p><script>alert("1")</script> | `x` & 'quotes' {{ 7 * 7 }} " onclick="alert(2)"""
ESCAPED = "&lt;script&gt;alert("
HOSTILE = [
    {"topic": EVIL},
    {"address": EVIL},
    {"counts": None, "unseen": EVIL},
    {"broken": (EVIL,)},
    {"stop": EVIL},
    {"restarts": (restart(cause=EVIL),)},
]


class Elements(HTMLParser):
    """The elements of a page, as a browser finds them."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, sorted(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text += data


def test_a_page_holds_the_sentence_the_tables_and_the_picture():
    facts = facts_of(restarts=(restart(),))
    page = night_page(facts)
    assert sentence_of(facts) in page
    assert page.count("<svg") == 1
    assert page.count("<table>") == 3
    assert 'class="verified"' in page
    assert 'class="open"' in night_page(facts_of(broken=("a: gone",)))


def test_what_is_empty_has_no_table():
    assert night_page(facts_of(offsets=())).count("<table>") == 1


def test_the_list_shows_also_what_could_not_be_read():
    page = list_page({"stream2raw-ztf-20260101": facts_of(), "stream2raw-ztf-20251231": "away"}, 4)
    assert page.index("20260101") < page.index("20251231")
    assert 'href="stream2raw-ztf-20260101"' in page
    assert "away" in page
    assert "4 earlier nights" in page
    assert "No night has a report yet" in list_page({})


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda changes: [*changes][-1])
def test_every_text_of_a_night_is_shown_as_text(hostile):
    harmless = {name: _harmless(value) for name, value in hostile.items()}
    page, plain = night_page(facts_of(**hostile)), night_page(facts_of(**harmless))
    assert ESCAPED in page
    assert "{{ 7 * 7 }}" in Elements(page).text
    assert Elements(page).found == Elements(plain).found


def test_every_text_of_a_night_was_tried():
    texts = {
        name
        for name, field in NightFacts.model_fields.items()
        if field.annotation in (str, tuple[str, ...])
    }
    tried = {name for hostile in HOSTILE for name in hostile} - {"counts", "restarts"}
    assert texts - tried == {"stream", "zone"}, "only what is checked by its own rules"


def test_the_list_shows_names_and_errors_as_text():
    page = list_page({facts_of().stream: facts_of(stop=EVIL), EVIL: EVIL})
    plain = list_page({facts_of().stream: facts_of(), "stream": "away"})
    assert page.count(ESCAPED) == 3
    assert Elements(page).found == Elements(plain).found


def _harmless(value):
    if isinstance(value, str):
        return "harmless"
    return value and type(value)(
        "harmless" if isinstance(one, str) else restart(cause="harmless") for one in value
    )
