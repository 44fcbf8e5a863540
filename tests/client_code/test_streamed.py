"""A task whose rows stay in their files answers as one whose rows are in memory."""

import itertools
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import capacity
import memory
import newton
import rows
import utils
from capacity import available_bytes, decoded_bytes
from errors import RowsChangedError, TableError, TooLargeError
from memory import open_task
from preprocessing import Preprocessing
from rows import Rows
from streamed import StreamedTable, StreamedTask
from tests.client_code.conftest import FEATURES

Both = tuple[utils.Task, StreamedTask]
Make = Callable[..., utils.Table]


def _write(table: utils.Table, path: Path) -> Path:
    frame = pd.DataFrame(table.X, columns=list(table.features)).assign(fraud=table.y)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.fixture(params=["csv", "parquet"])
def both(
    request: pytest.FixtureRequest, make_task: Callable[..., utils.Task], make_table: Make, tmp_path: Path
) -> Both:
    """Return the same task in memory and streamed, with many small blocks."""
    task = make_task(5000, validation=make_table(3000, seed=1))
    files = [
        _write(table, tmp_path / f"{i}.{request.param}")
        for i, table in enumerate((task.train, task.validation))
    ]
    train, validation = (StreamedTable(source=Rows(path, "fraud")) for path in files)
    return task, StreamedTask(
        name="a",
        label="fraud",
        train=train,
        validation=validation,
        max_iter=10,
        model_dir=task.model_dir,
    )


def _model() -> LogisticRegression:
    model = utils.new_model(10)
    utils.initialise_parameters(model, len(FEATURES))
    model.coef_, model.intercept_ = np.array([[0.3, -0.2, 0.4]]), np.array([0.1])
    return model


def test_moments_are_those_in_memory(both: Both) -> None:
    """Means and deviations to rounding; counts and signs exactly."""
    task, stream = both
    (arrays, signs, *others), (told, told_signs, *told_others) = task.statistics(), stream.statistics()
    assert told_signs == signs == [True, False, True]
    assert told_others == others
    assert set(told) == set(arrays)
    for name, values in arrays.items():
        np.testing.assert_allclose(told[name], values, rtol=1e-9, atol=1e-9, err_msg=name)
    assert stream.train.counts() == task.train.counts()
    assert stream.validation.counts() == task.validation.counts()


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 3.0)])
@pytest.mark.parametrize("seen", [True, False])
def test_newton_sums_are_those_in_memory(
    both: Both, agreement: str, weights: tuple[float, float], *, seen: bool
) -> None:
    """With and without a first pass, from the file and, of CSV, from the scratch copy: equal to rounding."""
    task, stream = both
    if seen:
        stream.statistics()
    expected = task.newton(agreement, _model(), weights).arrays()
    passes = [stream.newton(agreement, _model(), weights).arrays() for _ in range(3)]
    for arrays in passes:
        assert list(arrays) == list(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(arrays[name], values, rtol=1e-10, atol=1e-9)
            np.testing.assert_array_equal(arrays[name], passes[0][name])


def test_scores_are_those_in_memory(both: Both, agreement: str) -> None:
    """Loss, Brier score, accuracy, and ROC-AUC over blocks."""
    task, stream = both
    n, expected = task.score(agreement, _model())
    m, figures = stream.score(agreement, _model())
    assert m == n
    assert figures == pytest.approx(expected, rel=1e-12)


def test_negative_values_under_a_logarithm_are_0_as_in_memory(both: Both) -> None:
    """A robust strategy takes it where most clients have none."""
    task, stream = both
    parts = {"features": FEATURES, "log1p": [True] * 3, "mean": [2, 0, 1], "scale": [3] * 3}
    assert not all(stream.statistics().non_negative)
    n, expected = task.score(json.dumps(parts), _model())
    m, figures = stream.score(json.dumps(parts), _model())
    assert m == n
    assert figures == pytest.approx(expected, rel=1e-12)
    expected_sums = task.newton(json.dumps(parts), _model(), (1.0, 1.0))
    _check_equal(stream.newton(json.dumps(parts), _model(), (1.0, 1.0)), expected_sums)


@pytest.mark.parametrize("both", ["csv"], indirect=True)
def test_later_passes_do_not_read_a_csv_file(both: Both, agreement: str) -> None:
    """What was decoded once is kept: the file may go."""
    _, stream = both
    stream.statistics()
    sums = stream.newton(agreement, _model(), (1.0, 1.0))
    stream.train.source.path.unlink()
    np.testing.assert_array_equal(stream.newton(agreement, _model(), (1.0, 1.0)).hessian, sums.hessian)


def test_without_room_for_a_copy_the_file_is_read_each_time(
    both: Both, agreement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk makes it slower and not wrong."""
    task, stream = both
    monkeypatch.setattr(rows, "SPARE_BYTES", 1 << 60)
    stream.statistics()
    expected = task.newton(agreement, _model(), (1.0, 1.0))
    for _ in range(2):
        sums = stream.newton(agreement, _model(), (1.0, 1.0))
        np.testing.assert_allclose(sums.hessian[0], expected.hessian[0], rtol=1e-10)
    stream.train.source.path.unlink()
    with pytest.raises(RowsChangedError):
        stream.newton(agreement, _model(), (1.0, 1.0))


def test_columns_that_turn_out_negative_or_are_logged_by_nobody(make_table: Make, tmp_path: Path) -> None:
    """The scratch copy holds the values themselves, whatever will be agreed on."""
    table = make_table(400_000)
    table.X[-1, 0] = -1.0  # in the last of two blocks
    stream = StreamedTable(source=Rows(_write(table, tmp_path / "t.parquet"), "fraud"))
    assert stream.describe().non_negative.tolist() == [False, False, True]
    preprocessing = Preprocessing(
        features=FEATURES, log1p=np.zeros(3, dtype=bool), mean=np.zeros(3), scale=np.ones(3)
    )
    for _ in range(2):
        X = np.concatenate([make()[0] for make in stream.design(preprocessing)])
        np.testing.assert_array_equal(X, np.column_stack([table.X, np.ones(400_000)]))


def test_strategies_that_need_memory_load_the_rows_if_they_fit(
    both: Both, agreement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fit the very table that a small file would give; a larger one is refused with its size."""
    task, stream = both
    np.testing.assert_array_equal(stream.prepared(agreement).train.X, task.prepared(agreement).train.X)
    stream._loaded = None
    monkeypatch.setattr(capacity, "available_bytes", lambda: 1000)
    with pytest.raises(TooLargeError, match=r"needs about 0\.0 GB .* fednewton") as caught:
        stream.prepared(agreement)
    assert caught.value.exit_code == 55


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_small_files_are_loaded_and_large_ones_are_not(
    suffix: str,
    make_table: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By their decoded size; the log says beforehand what other strategies would need."""
    files = [_write(make_table(2000, seed=i), tmp_path / f"{i}.{suffix}") for i in (0, 1)]
    assert decoded_bytes(files[0]) == pytest.approx(2000 * 4 * 8, rel=0.01)
    options: Any = {"name": "a", "label": "fraud", "max_iter": 10, "model_dir": tmp_path}
    small = open_task(*files, **options)
    assert isinstance(small, utils.Task)
    np.testing.assert_allclose(small.train.X, make_table(2000).X, rtol=1e-15)
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 1000)
    with caplog.at_level(logging.INFO, "client.memory"):
        assert isinstance(open_task(*files, **options), StreamedTask)
    assert "Other strategies would need about 0.0 GB" in caplog.text


def test_a_parquet_file_stands_in_for_a_csv_file(make_table: Make, tmp_path: Path) -> None:
    """The server asks for train.csv; a client that has only train.parquet uses that."""
    for name in ("train", "validation"):
        _write(make_table(), tmp_path / f"{name}.parquet")
    task = open_task(
        tmp_path / "train.csv",
        tmp_path / "validation.csv",
        name="a",
        label="fraud",
        max_iter=10,
        model_dir=tmp_path,
    )
    assert task.features == FEATURES


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    """The kernel's figure, or the limit of the control group less what is used."""
    assert available_bytes(tmp_path) > 1 << 20  # as on macOS, which has no such file: all there is
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n")
    assert available_bytes(tmp_path) == 4_096_000
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("1000\n")
    (group / "memory.stat").write_text("active_file 0\ninactive_file 0\n")
    (group / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) == 4_096_000
    (group / "memory.max").write_text("5000\n")
    (group / "memory.stat").write_text("anon 600\nactive_file 100\ninactive_file 300\n")
    assert available_bytes(tmp_path) == 4400, "the kernel gives its cache back"


def test_values_too_large_to_be_squared_are_named(tmp_path: Path, make_table: Make) -> None:
    """As in memory."""
    table = make_table()
    table.X[5, 1] = 1e200
    stream = StreamedTable(source=Rows(_write(table, tmp_path / "t.parquet"), "fraud"))
    with pytest.raises(TableError, match='column "balance": its values are too large'):
        stream.describe()


@pytest.mark.parametrize("both", ["parquet"], indirect=True)
def test_no_copy_is_made_of_parquet(both: Both) -> None:
    """Its rows are on disk once: to decode them again is faster than to write a copy."""
    _, stream = both
    stream.statistics()
    assert stream.train._scratch is None


@pytest.mark.parametrize("both", ["csv"], indirect=True)
def test_a_scratch_copy_has_no_name(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone with the process, however that ends: no folder holds it while it is in use."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    _, stream = both
    stream.statistics()
    assert stream.train._scratch is not None
    assert list((tmp_path / "scratch").iterdir()) == []


def test_columns_that_others_drop_or_lack_values_of(both: Both) -> None:
    """Features that leave a column out, or mark gaps that are elsewhere, are as they are in memory."""
    task, stream = both
    made_of = [
        {"column": "count", "kind": "number", "fill": 2.5},
        {"column": "count", "kind": "missing"},
        {"column": "amount", "kind": "number"},
    ]
    parts = {
        "features": ["count", "count is missing", "amount"],
        "log1p": [False, False, True],
        "mean": [1.0, 0.0, 3.0],
        "scale": [2.0, 1.0, 0.5],
        "made_of": made_of,
    }
    agreement = json.dumps(parts)
    for model in (_model(), _untrained()):
        expected = task.newton(agreement, model, (1.0, 1.0))
        for seen in (False, True):
            if seen:
                stream.statistics()
            _check_equal(stream.newton(agreement, model, (1.0, 1.0)), expected)


@pytest.mark.parametrize("logged", list(itertools.product([False, True], repeat=2)))
def test_the_untrained_models_sums_are_those_in_memory(both: Both, logged: tuple[bool, bool]) -> None:
    """Also where the first block suggested other logarithms than were agreed on, and with class weights."""
    task, stream = both
    stream.statistics()
    parts = {
        "features": FEATURES,
        "log1p": [logged[0], False, logged[1]],
        "mean": [2, -4, 1],
        "scale": [3] * 3,
    }
    for weights in ((1.0, 1.0), (0.5, 3.0)):
        expected = task.newton(json.dumps(parts), _untrained(), weights)
        _check_equal(stream.newton(json.dumps(parts), _untrained(), weights), expected)


def test_the_untrained_models_sums_need_no_pass(both: Both) -> None:
    """The first pass gathered them, for the logarithms that its rows suggest: the file may go."""
    _, stream = both
    stream.statistics()
    stream.train.source.path.unlink()
    assert stream.train._start is not None
    log1p = stream.train._start.guess.log1p
    assert log1p.tolist()[:2] == [True, False]
    parts = {"features": FEATURES, "log1p": log1p.tolist(), "mean": [2, -4, 1], "scale": [3] * 3}
    assert stream.newton(json.dumps(parts), _untrained(), (1.0, 1.0)).rows == 5000


def test_a_column_that_turns_negative_after_the_first_block(make_table: Make, tmp_path: Path) -> None:
    """Its logarithms, begun on the first block's word, are not used and warn nobody."""
    table = make_table(400_000)
    table.X[-1, 0] = -2.0
    stream = StreamedTable(source=Rows(_write(table, tmp_path / "t.parquet"), "fraud"))
    stream.describe()
    plain = Preprocessing(
        features=FEATURES, log1p=np.zeros(3, dtype=bool), mean=np.zeros(3), scale=np.ones(3)
    )
    sums = stream.newton(plain, np.zeros(4), (1.0, 1.0))
    np.testing.assert_allclose(sums.gradient[:-1], (0.5 - table.y) @ table.X, rtol=1e-9)


def _untrained() -> LogisticRegression:
    model = _model()
    model.coef_[:], model.intercept_[:] = 0.0, -1.5
    return model


def _check_equal(sums: newton.Contribution, expected: newton.Contribution) -> None:
    assert sums.rows == expected.rows
    for name, values in expected.arrays().items():
        np.testing.assert_allclose(sums.arrays()[name], values, rtol=1e-10, atol=1e-8, err_msg=name)
    assert sums.plain_loss == pytest.approx(expected.plain_loss, rel=1e-12)
