"""The model by itself: what it learns, that it learns the same each time, and that it is measured as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marketplace_recommendations.evaluation import NoSequences, evaluate_file
from marketplace_recommendations.fitting import fitted, repeated
from marketplace_recommendations.model import Knobs, Learner, at_ten, flatten, measure
from marketplace_recommendations.plotting import draw
from marketplace_recommendations.store import Features, Trail
from marketplace_recommendations.training import Fitted


def chains(people: int, *, items: int = 60, length: int = 6, seed: int = 3) -> list[list[int]]:
    """Everybody goes along a ring of items by steps of one, now and then somewhere else."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(people):
        item, sequence = int(chance.integers(items)), []
        for _ in range(length):
            sequence.append(item)
            item = int(chance.integers(items)) if chance.random() < 0.2 else (item + 1) % items
        found.append(list(dict.fromkeys(sequence)))
    return found


def write(file: Path, sequences: list[list[int]]) -> Path:
    file.write_text("".join(f"u{n} {' '.join(f'i{item}' for item in each)}\n" for n, each in enumerate(sequences)))
    return file


def test_what_comes_after_is_found_and_the_order_counts() -> None:
    learner = Learner(flatten([[0, 1]] * 5 + [[2, 3]]), 4, factors=0, seed=1)
    matrix = learner.matrix(Knobs(back=0.1)).toarray()
    assert matrix[0, 1] > 5 * matrix[1, 0] > 0
    assert matrix[0, 2] == matrix[0, 3] == 0


def test_few_observations_say_little() -> None:
    """The pair that was seen once, of items that nobody else had, is not surer than the one that was seen ten times."""
    sequences = [[0, 1]] * 10 + [[2, 3]]
    matrix = Learner(flatten(sequences), 4, factors=0, seed=1).matrix(Knobs(shrink=20.0)).toarray()
    assert matrix[0, 1] > matrix[2, 3]


def test_ties_count_against_us() -> None:
    learner = Learner(flatten([[0, 1], [0, 2], [0, 3]]), 5, factors=0, seed=1)
    matrix = learner.matrix(Knobs())
    person, wanted = np.array([0]), np.array([2])
    ranks = measure(learner, matrix, 0.6, person, wanted, np.zeros(5, dtype=bool)).ranks
    assert ranks.tolist() == [1]  # as near as 3, and 1 is had already
    unknown = measure(learner, matrix, 0.6, person, np.array([4]), np.zeros(5, dtype=bool)).ranks
    assert unknown.tolist() == [2]


def test_figures_are_those_of_the_ranks() -> None:
    measured = at_ten(np.array([0, 9, 10]))
    assert measured.hit_rate == pytest.approx(2 / 3)
    assert measured.ndcg == pytest.approx((1 + 1 / np.log2(11)) / 3)


def test_a_file_is_evaluated_and_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "ring.txt", chains(90))
    first, second = (evaluate_file(file, seed).document() for seed in (7, 7))
    for document in (first, second):
        del document["seconds"], document["memory"]
    assert first == second
    assert first["hr@10"] > 0.6 and 0 < first["ndcg@10"] <= first["hr@10"] and 0 < first["coverage"] <= 1
    assert (first["people"], first["items"]) == (90, 60)


def test_the_last_item_is_not_learnt_from(tmp_path: Path) -> None:
    """Whoever came last to a thing that nobody had before cannot be foreseen."""
    sequences = [[n % 5, n % 7 + 10, 100 + n] for n in range(40)]
    assert evaluate_file(write(tmp_path / "new.txt", sequences), 1).hit_rate == 0.0


def test_a_file_with_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    for text in ("", "ada\n", "ada 1\neve 2\n", "\n\n"):
        (tmp_path / "none.txt").write_text(text)
        with pytest.raises(NoSequences):
            evaluate_file(tmp_path / "none.txt", 1)


def test_what_people_have_again_is_learnt() -> None:
    tea, pot = 0, 1
    again = repeated([[tea, pot, tea]] * 6 + [[pot, tea]] * 4, 2)
    assert again.tolist() == [True, False]
    assert not repeated([[0, 1]] * 9, 2).any()


def trail(*products: str, bought: bool = True) -> Trail:
    return Trail(f"person of {products}", list(products), [bought] * len(products))


def fit(trails: list[Trail], features: list[Features], factors: int = 0) -> Fitted:
    return fitted(trails, features, factors=factors, neighbours=10, seed=1)


def test_rows_say_what_was_bought_together() -> None:
    rows = {row.product_id: row for row in fit([trail("pot", "cup")] * 5 + [trail("pot", "can", bought=False)], []).rows}
    assert [(each.id, each.together) for each in rows["pot"].neighbours] == [("cup", True), ("can", False)]
    assert not rows["pot"].again


def test_what_nobody_has_touched_is_like_what_has_its_words() -> None:
    features = [
        Features("old", "ann", ["Home", "Tea"], "Green tea pot"),
        Features("new", "ann", ["Home", "Tea"], "Blue tea pot"),
        Features("far", "ben", ["Garden"], "Rake"),
        Features("other", "cleo", ["Garden"], "Spade"),
    ]
    rows = {row.product_id: row for row in fit([trail("old", "far")] * 3, features).rows}
    assert [each.id for each in rows["new"].neighbours] == ["old"]
    assert "new" in [each.id for each in rows["old"].neighbours]
    assert rows["old"].neighbours[0].id == "far"  # what people chose comes first


def test_the_factor_model_finds_what_is_two_steps_away() -> None:
    """Nobody had both 0 and 3, but people alike had them."""
    sequences = [[0, 1], [0, 2], [1, 3], [2, 3], [4, 5], [5, 6], [4, 6]] * 8
    plain, blended = (
        Learner(flatten(sequences), 7, factors=factors, seed=1).matrix(Knobs(factors=0.5)).toarray() for factors in (0, 3)
    )
    assert plain[0, 3] == 0 and blended[0, 3] > max(blended[0, 4], blended[0, 5], blended[0, 6])


def test_nothing_gives_nothing() -> None:
    assert fit([], []).rows == []
    assert fit([trail("pot")], []).hit_rate == 0.0


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    draw(fit([trail("pot", "cup", "can")] * 5, []).curve, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
