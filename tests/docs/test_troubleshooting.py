"""The page of causes has a section for each category, and says the remedies of the catalogue."""

import pytest

from docs.remedies import PAGE, remedy_of, with_remedies
from fink_k8s.core.diagnosis.catalogue import CATALOGUE, Category

SECTIONS = {part.partition("\n")[0]: part for part in PAGE.read_text().split("\n## ")[1:]}


def test_every_category_has_its_section_with_all_that_helps():
    assert sorted(SECTIONS) == sorted(Category)
    for section in SECTIONS.values():
        for word in ("Symptom", "Why", "Remedy", "Command"):
            assert f"**{word}:**" in section


@pytest.mark.parametrize("category", Category)
def test_the_anchor_of_a_category_is_the_heading_of_its_section(category):
    page, _, heading = category.anchor.partition("#")
    assert PAGE.match(f"*/{page}")
    assert heading in SECTIONS


@pytest.mark.parametrize("category", Category)
def test_a_section_says_each_remedy_that_a_line_may_say(category):
    assert f"\n{remedy_of(category)}\n" in SECTIONS[category], "stale: run `make docs`"
    said = " ".join(SECTIONS[category].replace("`", "").split())
    for words in CATALOGUE[category].wordings:
        assert f"{words.remedy}." in said


def test_a_remedy_is_replaced_and_what_is_written_by_hand_stays():
    page = (
        "# Top\n\n## quota\n\n- **Why:** a\n- **Remedy:** old,\n  older\n- **Note:** b\n\n## x\n\ny"
    )
    made = with_remedies(page)
    assert made == page.replace("- **Remedy:** old,\n  older", remedy_of(Category.QUOTA))
    assert with_remedies(made) == made


@pytest.mark.parametrize("end", ["", "\n", "\n\n## next\n"])
def test_a_section_may_begin_with_an_empty_remedy_and_end_with_it(end):
    made = with_remedies(f"\n## quota\n\n- **Remedy:**{end}")
    assert remedy_of(Category.QUOTA) in made
    assert ("\n\n## next\n" in made) == ("next" in end)


def test_summaries_tell_which_of_several_remedies_is_meant():
    made = remedy_of(Category.IMAGE_PULL)
    assert "  - *image IMAGE cannot be pulled:* Check the tag" in made
    assert "or run\n    `fink_image`." in made
