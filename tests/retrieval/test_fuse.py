"""Fusion: pure functions of two rankings."""

from hypothesis import given
from hypothesis import strategies as st

from likeopt.retrieval.fuse import Ranking, convex

WORDS: Ranking = [(1, 12.0), (2, 6.0), (3, 3.0)]
MEANING: Ranking = [(2, 0.91), (4, 0.88), (1, 0.81)]


def ids(ranking: Ranking) -> list[int]:
    return [passage for passage, _ in ranking]


def test_a_passage_that_both_find_comes_before_one_that_only_one_finds() -> None:
    assert ids(convex(WORDS, MEANING))[0] == 2
    assert set(ids(convex(WORDS, MEANING))) == {1, 2, 3, 4}


def test_convex_is_the_weighted_sum_of_scaled_scores() -> None:
    scores = dict(convex(WORDS, MEANING, weight=0.5))
    assert scores[1] == 0.5  # best by words, last by meaning
    assert abs(scores[2] - (0.5 * 0.5 + 0.5)) < 1e-12
    assert abs(scores[4] - 0.5 * 0.7) < 1e-12


def test_a_poor_match_of_words_counts_for_less() -> None:
    shared = [(9, 2.0)]  # the one English word of a Korean question
    far = {9: 0.5}
    assert ids(convex(shared, MEANING, far, weight=0.5))[:2] == [2, 9]
    assert ids(convex(shared, MEANING, far, weight=0.5, convincing=20.0)) == [2, 4, 9, 1]


def test_the_background_is_zero_for_meaning() -> None:
    scores = dict(convex([], MEANING, weight=1.0, background=0.71))
    assert abs(scores[4] - 0.17 / 0.20) < 1e-9
    assert abs(scores[1] - 0.10 / 0.20) < 1e-9
    # No cosine in the list is below zero, whatever the sample said.
    assert min(dict(convex([], MEANING, weight=1.0, background=0.9)).values()) == 0


def test_one_empty_ranking_leaves_the_order_of_the_other() -> None:
    assert ids(convex(WORDS, [])) == ids(WORDS)
    assert ids(convex([], MEANING)) == ids(MEANING)
    assert convex([], []) == []


def test_a_passage_found_by_words_only_counts_by_its_own_similarity() -> None:
    words: Ranking = [(1, 12.0), (5, 11.0)]
    near = dict(convex(words, MEANING, {5: 0.90}, weight=0.5))
    far = dict(convex(words, MEANING, {5: 0.70}, weight=0.5))
    assert abs(near[5] - (0.5 * 11 / 12 + 0.5 * 0.9)) < 1e-9
    assert abs(far[5] - 0.5 * 11 / 12) < 1e-9


def test_a_passage_that_is_not_embedded_yet_counts_by_its_words_alone() -> None:
    words: Ranking = [(7, 12.0), (1, 6.0)]
    assert ids(convex(words, MEANING))[0] == 7
    assert dict(convex(words, MEANING))[7] == 1.0


def test_scale_does_not_matter() -> None:
    tenfold = [(passage, 10 * score) for passage, score in WORDS]
    assert ids(convex(tenfold, MEANING)) == ids(convex(WORDS, MEANING))


def test_equal_scores_are_ordered_by_id() -> None:
    assert ids(convex([(9, 1.0)], [(3, 0.5)], {9: 0.1}, weight=0.5)) == [3, 9]


rankings = st.lists(
    st.tuples(st.integers(1, 50), st.floats(0.001, 1000)), unique_by=lambda pair: pair[0]
).map(lambda pairs: sorted(pairs, key=lambda pair: -pair[1]))


@given(rankings, rankings, st.floats(-1, 1))
def test_everything_found_is_ranked_once_with_a_score_from_0_to_1(
    words: Ranking, meaning: Ranking, similarity: float
) -> None:
    known = {passage: similarity for passage, _ in words} if meaning else {}
    fused = convex(words, meaning, {p: s for p, s in known.items() if p not in dict(meaning)})
    assert sorted(ids(fused)) == sorted(set(ids(words)) | set(ids(meaning)))
    assert all(-1e-9 <= score <= 1 + 1e-9 for _, score in fused)
