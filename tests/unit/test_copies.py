"""Identical rows are kept, and where they are the exception they stay on one side of every split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from federation.data.preparation.copies import Copies
from federation.data.preparation.manifest import Count, Manifest
from federation.data.preparation.partition import deal, split
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table
from federation.errors import EmptyClientError
from tests.unit.test_data_prep import digest

GROUPS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4)), min_size=2, max_size=30)
"""Of each group its label and its number of rows."""


def expanded(groups: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the label of each row, and the first row of its group."""
    sizes = [size for _, size in groups]
    first = np.cumsum([0, *sizes[:-1]])
    return np.repeat([label for label, _ in groups], sizes), np.repeat(first, sizes)


def write(rows: pd.DataFrame, folder: Path) -> Path:
    """Write a table and return its path."""
    rows.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def few_combinations(rows: int = 5_000, wards: int = 1, seed: int = 0) -> pd.DataFrame:
    """Return rows that an aggregated table of passengers or patients would hold."""
    rng = np.random.default_rng(seed)
    sex, adult = rng.choice(["f", "m"], rows), rng.choice([0, 1], rows, p=[0.1, 0.9])
    kind, ward = rng.choice(["1st", "2nd", "3rd"], rows), rng.integers(0, wards, rows)
    logit = 2.1 * (sex == "m") + 0.8 * adult + 0.9 * (kind == "3rd") - 3.2
    died = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    return pd.DataFrame({"sex": sex, "adult": adult, "class": kind, "ward": ward, "died": died})


def measured(rows: int = 1_000, copies: int = 10, seed: int = 0) -> pd.DataFrame:
    """Return measurements, and copies of some of them."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    table["y"] = (rng.random(rows) < 0.3).astype(int)
    return pd.concat([table, table.sample(copies, random_state=seed)], ignore_index=True)


def parts(folder: Path, manifest: Manifest) -> dict[str, set[tuple[float, ...]]]:
    """Return the distinct rows of every file."""
    return {
        name: set(pd.read_csv(folder / name).itertuples(index=False, name=None))
        for name in manifest.files
        if name.endswith(".csv")
    }


def coefficients(rows: pd.DataFrame) -> np.ndarray:
    """Return scikit-learn's log-odds, without a penalty."""
    X = np.column_stack([rows["sex"] == "m", rows["adult"], rows["class"] == "2nd", rows["class"] == "3rd"])
    model = LogisticRegression(C=np.inf, max_iter=1_000, tol=1e-8).fit(X, rows["died"])
    return np.asarray(model.coef_[0])


# Which rows are identical -----------------------------------------------------------------------------------


def test_copies_are_rows_equal_in_every_value_and_label() -> None:
    """0.0 equals -0.0 and a gap a gap; another label is another row."""
    X = np.array([[0.0], [1.0], [-0.0], [1.0], [1.0], [np.nan], [np.nan]])
    table = Table(features=("a",), X=X, y=np.array([0, 0, 0, 1, 0, 1, 1]), label="y")
    assert Copies.of(table).group.tolist() == [0, 1, 0, 3, 1, 5, 5]


@pytest.mark.parametrize(
    ("sizes", "usual"),
    [
        ([1] * 100, False),
        ([2] * 30 + [1] * 60, False),
        ([2] * 31 + [1] * 60, True),
        ([11] + [1] * 99, True),
        ([10] + [1] * 99, False),
        ([11] + [1] * 300, False),
    ],
)
def test_identical_rows_are_usual_where_most_repeat_or_one_is_frequent(sizes: list[int], usual: bool) -> None:  # noqa: FBT001
    """More than half of the rows, or more than ten and a twentieth of one kind."""
    first = np.cumsum([0, *sizes[:-1]])
    assert Copies(np.repeat(first, sizes)).usual is usual


# Splits -----------------------------------------------------------------------------------------------------


@given(groups=GROUPS, share=st.floats(0.05, 0.95))
def test_no_group_is_on_both_sides_of_a_split(groups: list[tuple[int, int]], share: float) -> None:
    """Every row is in one part, neither is empty, and nobody's copy is in the other."""
    y, group = expanded(groups)
    kept, held = split(y, share, np.random.default_rng(0), group)
    assert sorted([*kept, *held]) == list(range(len(y)))
    assert len(kept)
    assert len(held)
    assert not set(group[kept]) & set(group[held])


@given(groups=GROUPS, clients=st.integers(1, 5))
def test_a_group_goes_to_one_client(groups: list[tuple[int, int]], clients: int) -> None:
    """And clients get as many groups, give or take one."""
    y, group = expanded(groups)
    number = deal(y, clients, np.random.default_rng(0), group)
    each = {int(of): set(number[group == of]) for of in group}
    assert all(len(numbers) == 1 for numbers in each.values())
    sizes = np.bincount([numbers.pop() for numbers in each.values()], minlength=clients)
    assert sizes.max() - sizes.min() <= 1


@given(y=st.lists(st.integers(0, 1), min_size=2, max_size=60))
def test_without_copies_the_split_is_as_it_was(y: list[int]) -> None:
    """Groups of one row change no row's place, so a table without copies gives the same bytes."""
    labels, alone = np.array(y), np.arange(len(y))
    for one, other in zip(
        split(labels, 0.2, np.random.default_rng(1)),
        split(labels, 0.2, np.random.default_rng(1), alone),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


# Prepared tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["iid", "quantile:a"])
def test_a_copy_is_never_on_both_sides(tmp_path: Path, partition: str) -> None:
    """One row in a hundred is a copy: none is in two files, and all rows are there."""
    rows = measured()
    settings = PreparationSettings(label="y", partition=partition, resample="none")
    manifest = prepare(write(rows, tmp_path), tmp_path / "out", settings)
    files = parts(tmp_path / "out", manifest)
    assert sum(map(len, files.values())) == len(set().union(*files.values())) == 1_000
    assert sum(len(pd.read_csv(tmp_path / "out" / name)) for name in files) == 1_010
    assert manifest.duplicates.rows == 10
    (note,) = manifest.notes
    assert note.startswith(
        "10 of 1,010 rows are identical to an earlier row, label included: kept, and never"
    )


def test_clients_of_a_column_do_not_train_on_their_own_or_the_servers_held_back_rows(tmp_path: Path) -> None:
    """A client's copies stay on one side there, also where another client has the row too."""
    rows = measured(copies=100).assign(site=lambda table: np.where(np.arange(len(table)) % 2, "a", "b"))
    settings = PreparationSettings(label="y", partition="column:site", resample="none")
    manifest = prepare(write(rows, tmp_path), tmp_path / "out", settings)
    files = parts(tmp_path / "out", manifest)
    for site in ("a", "b"):
        train, validation = files[f"{site}/train.csv"], files[f"{site}/validation.csv"]
        assert not train & validation
        assert not (train | validation) & files["server/test.csv"]


@pytest.mark.parametrize("wards", [1, 40])
def test_a_table_of_few_combinations_keeps_its_rows_and_their_effects(tmp_path: Path, wards: int) -> None:
    """Training rows have the prevalence and, within three standard errors, the log-odds of all rows."""
    rows = few_combinations(wards=wards)
    settings = PreparationSettings(label="died", resample="none")
    manifest = prepare(write(rows, tmp_path), tmp_path / "out", settings)
    assert manifest.input.rows == 5_000
    train = pd.concat(pd.read_csv(path) for path in (tmp_path / "out").glob("*/train.csv"))
    assert len(train) == 3_600
    assert abs(train["died"].mean() - rows["died"].mean()) < 0.005
    np.testing.assert_allclose(coefficients(train), coefficients(rows), rtol=0, atol=0.15)
    assert coefficients(train)[0] == pytest.approx(2.1, abs=0.3)
    assert manifest.notes[0].endswith("kept, and divided at random, as rows of few combinations.")


def test_dropping_is_asked_for_and_counted(tmp_path: Path) -> None:
    """Every row that equals an earlier one goes, in every file."""
    rows = few_combinations(wards=40)
    settings = PreparationSettings(label="died", resample="none", drop_duplicates=True)
    manifest = prepare(write(rows, tmp_path), tmp_path / "out", settings)
    copies = rows.duplicated()
    assert manifest.duplicates == Count(rows=int(copies.sum()), positives=int(rows["died"][copies].sum()))
    assert manifest.drop_duplicates
    written = [pd.read_csv(path) for path in (tmp_path / "out").rglob("*.csv")]
    assert sum(map(len, written)) == (~copies).sum()
    assert manifest.notes[0].endswith("rows are identical to an earlier row, label included: dropped.")


def test_the_same_seed_gives_the_same_bytes_with_copies_too(tmp_path: Path) -> None:
    """And another seed others."""
    source, digests = write(measured(copies=200), tmp_path), []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        prepare(source, tmp_path / name, PreparationSettings(label="y", seed=seed, resample="none"))
        digests.append(digest(tmp_path / name))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_client_with_copies_of_one_row_only_is_named(tmp_path: Path) -> None:
    """It cannot both train and validate on it."""
    rows = measured(copies=0)
    rows = pd.concat([rows, rows[:1], rows[:1]]).assign(site=["a"] * 1_000 + ["lost"] * 2)
    with pytest.raises(EmptyClientError, match=r'client "lost": has [01] of the 2 rows needed'):
        prepare(
            write(rows, tmp_path), tmp_path / "out", PreparationSettings(label="y", partition="column:site")
        )


def test_the_articles_table_keeps_its_38_copies_unless_asked(cms: Path, tmp_path: Path) -> None:
    """All are positive; kept, none is in two files, so no provider is both trained on and tested."""
    how = {"label": "fraudulent_provider", "resample": "none"}
    manifest = prepare(cms, tmp_path / "kept", PreparationSettings(**how))  # type: ignore[arg-type]
    assert manifest.duplicates == Count(rows=38, positives=38)
    assert manifest.left_out == {}
    assert len(manifest.features) == 49
    files = parts(tmp_path / "kept", manifest)
    assert sum(map(len, files.values())) == len(set().union(*files.values())) == 5_462
