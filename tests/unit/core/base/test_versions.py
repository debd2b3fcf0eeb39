import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.versions import version_of

NUMBERS = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("1.34", (1, 34)),
        ("v1.34.2", (1, 34, 2)),
        ("v1.33.4+k3s1", (1, 33, 4)),
        ("v1.33.4-gke.1172000", (1, 33, 4)),
        ("v1.33.4-eks-2d5f260", (1, 33, 4)),
        ("v1.33.4+rke2r1", (1, 33, 4)),
        ("3.5.7", (3, 5, 7)),
        ("4.0.0-preview2", (4, 0, 0)),
        ("3.4.1-amzn-2", (3, 4, 1)),
    ],
)
def test_the_suffix_of_a_distribution_is_not_part_of_the_version(text, release):
    assert version_of(text).release == release


@pytest.mark.parametrize("text", ["", "1", "one.two", "x1.34", "-1.34", "1.", ".34", "latest"])
def test_what_is_not_a_version_is_refused_with_an_example(text):
    with pytest.raises(InvalidRequest, match=r"is not a valid version; give e\.g\. 1\.34") as error:
        version_of(text)
    assert repr(text) in str(error.value)


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_versions_are_in_the_order_of_their_numbers(one, other):
    texts = ("{}.{}".format(*numbers) for numbers in (one, other))
    first, second = map(version_of, texts)
    assert (first < second) is (one < other)
