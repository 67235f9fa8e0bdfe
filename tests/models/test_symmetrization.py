"""Two directions made one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem import symmetrize

links = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def test_grow_diag_final_and_by_hand():
    forward = [(0, 0), (1, 1), (1, 2), (4, 3), (5, 5)]
    backward = [(0, 0), (1, 1), (2, 3), (4, 4), (5, 5)]
    # Both have 0-0, 1-1, 5-5. 1-2 stands beside 1-1 and target 2 is free; 2-3 then touches 1-2
    # by a corner; 4-4 touches 5-5. 4-3 comes last, and source 4 has a link by then.
    assert symmetrize(forward, backward) == [(0, 0), (1, 1), (1, 2), (2, 3), (4, 4), (5, 5)]
    assert symmetrize(forward, backward, "intersection") == [(0, 0), (1, 1), (5, 5)]
    assert len(symmetrize(forward, backward, "union")) == 7


def test_the_last_step_joins_words_without_links_only():
    assert symmetrize([(0, 0), (3, 3)], [(0, 0), (3, 5)]) == [(0, 0), (3, 3)]
    assert symmetrize([], [(2, 0)]) == [(2, 0)]
    assert symmetrize([], []) == []


@given(links, links)
def test_between_intersection_and_union(forward, backward):
    small, middle, large = (
        set(symmetrize(forward, backward, method))
        for method in ("intersection", "grow-diag-final-and", "union")
    )
    assert small <= middle <= large
    for i, j in large - middle:  # what is left out would link no two words without links
        assert any(a == i for a, _ in middle) or any(b == j for _, b in middle)
    assert symmetrize(forward, forward) == sorted(forward)


def test_unknown_method():
    with pytest.raises(ValueError, match="method must be one of"):
        symmetrize([], [], "grow")
