"""What a table to score holds that the model does not know is said in counts, never in silence."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client_code.protocol.features import Feature
from federation.api.model import Model
from federation.errors import FeatureError, LabelError, SettingError
from federation.model.linear import LinearModel, Preprocessing
from federation.model.quality.metrics import evaluate
from federation.model.scoring import findings
from federation.model.scoring.levels import LevelReader
from federation.predict import main

PARTS = (
    Feature(column="age", fill=50.0),
    Feature(column="age", kind="missing"),
    Feature(column="amount"),
    Feature(column="urgent"),
    Feature(column="sex", kind="level", level="M"),
    Feature(column="code", kind="level", level="2"),
    Feature(column="code", kind="level", level="3"),
    Feature(column="region", kind="level", level="south"),
    Feature(column="region", kind="other", levels=("north", "south")),
)
MODEL = LinearModel(
    label="fraud",
    preprocessing=Preprocessing(
        features=tuple(part.name for part in PARTS),
        log1p=(False, False, True, *[False] * 6),
        mean=np.array([50.0, 0.0, 3.0, 0.01, *[0.0] * 5]),
        scale=np.array([15.0, 1.0, 1.0, np.sqrt(0.01 * 0.99), *[1.0] * 5]),
        made_of=PARTS,
    ),
    coef=np.array([0.5, 0.2, 0.7, 0.3, 1.0, -1.0, 2.0, 0.4, -0.6]),
    intercept=-1.0,
    provenance={"resample": "none"},
    references={"sex": "F", "code": "1", "region": "north"},
)
ROW = {"age": "40", "amount": "20", "urgent": "0", "sex": "F", "code": "1", "region": "north"}


def table(*changes: dict[str, str]) -> str:
    """Return a CSV of rows like `ROW` but for these cells."""
    rows = [ROW | change for change in changes]
    header = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(row.get(name, "") for name in header) for row in rows]
    return "\n".join([",".join(header), *lines]) + "\n"


@pytest.fixture
def score(tmp_path: Path) -> Any:
    """Return a function that scores a CSV given as text and returns what was written, line by line."""

    def scored(text: str, model: LinearModel = MODEL, **options: Any) -> list[list[str]]:
        (tmp_path / "model.json").write_text(model.to_json(), encoding="utf-8")
        (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
        out = tmp_path / "out" / "scores.csv"
        main(model=str(tmp_path / "model.json"), source=str(tmp_path / "rows.csv"), out=str(out), **options)
        return list(csv.reader(io.StringIO(out.read_text(encoding="utf-8"))))

    return scored


def scores(lines: list[list[str]]) -> list[str]:
    """Return the second column without its name."""
    return [line[1] for line in lines[1:]]


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("sex", ["f", "m", "f", "f", "m"], 'column "sex" (5 rows). In 5 cells only the case of letters'),
        ("sex", ["X", "mars", "X", "X", "X"], 'column "sex" (5 rows). Write levels as in training'),
        ("code", ["9", "8.0", "07", "x", "9"], 'column "code" (5 rows). Write'),
    ],
)
def test_a_column_of_which_no_level_is_known_is_refused(
    score: Any, tmp_path: Path, column: str, cells: list[str], said: str
) -> None:
    """With the count and an option, and without a value; nothing is written."""
    with pytest.raises(FeatureError) as caught:
        score(table(*({column: cell} for cell in cells)))
    assert said in str(caught.value)
    assert "--allow-unknown" in caught.value.remedy
    assert not any(f'"{cell}"' in str(caught.value) for cell in cells)
    assert list(tmp_path.glob("out/*")) == []


def test_all_columns_without_a_known_level_are_named_at_once(score: Any) -> None:
    """Not one after the other; a gap is no level."""
    with pytest.raises(FeatureError, match=r'"sex" \(2 rows\) and "code" \(1 rows\)'):
        score(table({"sex": "f", "code": "9"}, {"sex": "x", "code": ""}))


def test_they_are_scored_when_asked(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As the reference level, which the note says."""
    lines = score(table({"sex": "f"}, {"sex": "mars"}), allow_unknown=True)
    assert scores(lines) == scores(score(table({"sex": "F"}, {"sex": "F"})))
    assert (
        "note: sex: 2 of 2 rows hold a level that the model does not know; 1 of them in another case of "
        "letters: they count as its reference level.\n"
    ) in capsys.readouterr().err


def test_some_unknown_levels_are_counted_by_column(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a column; where training had other levels too, they count as those."""
    score(table({"sex": "mars", "region": "moon"}, {"region": "south"}, {}))
    err = capsys.readouterr().err
    assert "sex: 1 of 3 rows hold a level that the model does not know: they count as its reference" in err
    assert "region: 1 of 3 rows hold a level that the model does not know: they count as other levels" in err
    assert "mars" not in err
    assert "moon" not in err


def test_a_row_of_a_folder_is_located_in_its_file(tmp_path: Path, score: Any) -> None:
    """Lines and rows are counted there."""
    score(table({}))
    for name, rows in (("a.csv", [{}, {}]), ("b.csv", [{}, {"amount": ""}, {"amount": ""}])):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_text(table(*rows))
    with pytest.raises(FeatureError, match=r'"amount": 2 .* \(first in b\.csv, data row 2, line 3\)'):
        main(model=str(tmp_path / "model.json"), source=str(tmp_path / "folder"), out=str(tmp_path / "s.csv"))


def test_what_has_no_lines_is_located_by_its_row(tmp_path: Path, score: Any) -> None:
    """A row of Parquet, say, is on none."""
    score(table({}))
    pd.DataFrame([ROW, ROW | {"amount": ""}]).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(FeatureError, match=r"\(first in data row 2\)"):
        main(
            model=str(tmp_path / "model.json"), source=str(tmp_path / "rows.parquet"), out=str(tmp_path / "s")
        )


def test_few_rows_of_other_levels_are_no_mistake(score: Any) -> None:
    """Training had such rows; but none known among very many is one."""
    assert len(score(table({"region": "moon"}))) == 2
    with pytest.raises(FeatureError, match=f'"region" \\({findings.FEWEST} rows\\)'):
        score(table(*[{"region": "moon"}] * findings.FEWEST))


def test_a_code_written_as_another_number_is_its_level(
    score: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """``1.0`` and ``01`` are ``1``, and ``2.0`` is ``2``, said once with the count."""
    ways = score(table(*({"code": cell} for cell in ("1.0", "01", "2.0", " 3 ", "1", ""))))
    assert (
        "note: code: 3 of 6 rows write a level as another number than in training" in capsys.readouterr().err
    )
    assert scores(ways) == scores(score(table(*({"code": cell} for cell in ("1", "1", "2", "3", "1", "1")))))


def test_whole_numbers_with_gaps_in_parquet_are_the_levels_of_training(score: Any, tmp_path: Path) -> None:
    """Where pandas makes 1.0 of 1, and a folder of files is one table."""
    (tmp_path / "folder").mkdir()
    frame = pd.DataFrame([ROW, ROW, ROW]).assign(code=[1, None, 3], age=40, amount=20.0, urgent=0)
    frame.to_parquet(tmp_path / "folder" / "rows.parquet")
    expected = scores(score(table({}, {"code": ""}, {"code": "3"})))
    out = tmp_path / "scores.csv"
    main(model=str(tmp_path / "model.json"), source=str(tmp_path / "folder"), out=str(out))
    assert [str(one) for one in pd.read_csv(out)["score"]] == expected


@pytest.mark.parametrize(
    ("known", "cells", "codes", "other_number", "unknown"),
    [
        (["1", "2"], ["1", "1.0", "01", "+1", "1e0"], [0, 0, 0, 0, 0], 4, 0),
        (["01", "1", "2"], ["01", "1", "1.0", "2.0"], [0, 1, 3, 2], 1, 1),  # 1.0 may be either
        (["1.0", "2.0"], ["1", "2", "2.0"], [0, 1, 1], 2, 0),
        (["9007199254740993"], ["9007199254740992", "9007199254740993.0"], [1, 0], 1, 1),
        (["a", "B"], ["A", "b", "a", "nan", "inf", "1_0"], [2, 2, 0, None, 2, 2], 0, 4),
        ([], ["x", "1"], [0, 0], 0, 2),
    ],
)
def test_one_rule_says_which_level_a_cell_is(
    known: list[str], cells: list[str], codes: list[int | None], other_number: int, unknown: int
) -> None:
    """The same text, else the one level with the same number to its last digit, else none."""
    read = LevelReader(known).read(cells)
    assert [None if np.isnan(code) else code for code in read.codes] == codes
    assert (read.other_number, read.unknown) == (other_number, unknown)


def test_levels_are_read_in_bounded_memory() -> None:
    """A column of ever new texts leaves nothing behind."""
    reader = LevelReader(["a"])
    for part in range(5):
        reader.read([f"{part}-{i}" for i in range(20_000)])
    assert len(reader._codes) == 1


def test_numbers_far_from_training_are_counted(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """On the scale of the model, which takes a logarithm here; a rare 1 is no surprise, and a 2 is one."""
    score(table({"age": "480"}, {"amount": "9000"}, {"amount": "5000", "urgent": "1"}, {"urgent": "2"}))
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: age: 1 of 4 rows lie more than 6 standard deviations from the mean of training.",
        "note: amount: 1 of 4 rows lie more than 6 standard deviations from the mean of training.",
        "note: urgent: 1 of 4 rows are neither 0 nor 1, as all were in training.",
    ]


def test_gaps_are_counted_by_column(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Those the model fills in, or marks if only by another column, and those that nothing marks."""
    score(table({"age": ""}, {"age": "NA", "sex": ""}, {"code": ""}))
    err = capsys.readouterr().err
    assert "note: rows without a value, filled in or marked as in training: age 2, sex 1.\n" in err
    assert "note: code: 1 of 3 rows are empty: they count as its reference level.\n" in err


BAD = table({"amount": ""}, {}, {"amount": "-1", "urgent": "secret"}, {"age": "secret"}, {"amount": ""})


def test_rows_that_cannot_be_scored_are_counted_and_the_way_out_is_named(score: Any) -> None:
    """All of them, by column and reason, with the first row of each."""
    with pytest.raises(FeatureError) as caught:
        score(BAD)
    assert str(caught.value).partition("rows.csv: ")[2] == (
        '4 of 5 rows cannot be scored: column "age": 1 not a number (first in data row 4, line 5), '
        'column "amount": 2 empty or NaN, as no training row was (first in data row 1, line 2), column '
        '"amount": 1 negative, and the model takes the logarithm (first in data row 3, line 4) and '
        'column "urgent": 1 not a number (first in data row 3, line 4). Correct these rows, or let them '
        "have a reason instead of a score: --on-error row."
    )


def test_the_way_out_works(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A reason instead of a score, and the same score as ever for the other rows; no value is shown."""
    lines = score(BAD, on_error="row")
    assert lines == [
        ["row", "score", "reason"],
        ["1", "", "amount: empty or NaN, as no training row was"],
        ["2", scores(score(table({})))[0], ""],
        ["3", "", "urgent: not a number; amount: negative, and the model takes the logarithm"],
        ["4", "", "age: not a number"],
        ["5", "", "amount: empty or NaN, as no training row was"],
    ]
    err = capsys.readouterr().err
    assert "note: 4 rows have a reason instead of a score: " in err
    assert "Scored 1 of 5 rows: " in err
    assert "secret" not in err


LABELS = ["1", "0", "1", "", "0", "yes", "no", "n/a"]


def test_labels_in_the_input_give_the_metrics(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the product's own functions, on the rows that have a label and a score."""
    text = table(
        *({"age": str(20 + 7 * i), "fraud": label} for i, label in enumerate(LABELS)), {"amount": "-1"}
    )
    lines = score(text, on_error="row")
    y = np.array([1, 0, 1, 0, 1, 0])
    p = np.array([float(lines[1 + i][1]) for i in (0, 1, 2, 4, 5, 6)])
    expected, out = evaluate(y, p), capsys.readouterr().out
    assert '6 rows with a label in "fraud", 3 positive; 3 without a label are left out:\n' in out
    for key, name in (
        ("roc_auc", "ROC-AUC"),
        ("average_precision", "average precision"),
        ("log_loss", "log loss"),
        ("brier", "Brier score"),
    ):
        assert [name, f"{dict(expected)[key]:.4f}"] == next(
            line.rsplit(maxsplit=1) for line in map(str.strip, out.splitlines()) if line.startswith(name)
        )
    assert (
        f"calibration in the large {p.mean() - 0.5:+.4f} (mean score {p.mean():.4f}, share of positives "
        in (" ".join(out.split()))
    )


def test_labels_of_words_need_the_positive_one(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Unasked, scores do not wait for it; asked, it is an error."""
    text = table({"sick": "ill", "fraud": "bad"}, {"sick": "well", "fraud": "good"})
    assert len(score(text)) == 3
    captured = capsys.readouterr()
    assert "no metrics: " in captured.err
    assert 'Say with --positive which is 1: "bad" or "good"' in captured.err
    assert captured.out == ""
    with pytest.raises(LabelError, match="--positive"):
        score(text, label="sick")
    score(text, label="sick", positive="ill")
    assert '2 rows with a label in "sick", 1 positive:' in capsys.readouterr().out
    with pytest.raises(SettingError, match=r'--label "sik": no such column\. Did you mean "sick"\?'):
        score(text, label="sik")
    with pytest.raises(LabelError, match="no row has a label"):
        score(table({}), positive="ill")


def test_a_client_chooses_its_own_intercept(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The score is that of its intercept, and the note about the mean is gone."""
    model = replace(MODEL, site_intercepts={"hospital-a": -3.0, "hospital-b": 1.0})
    at_a = score(table({}), model, site="hospital-a")
    assert "note" not in capsys.readouterr().err
    assert scores(at_a) == scores(score(table({}), replace(MODEL, intercept=-3.0)))
    with pytest.raises(SettingError, match=r'--site "hospital-c": .*Did you mean "hospital-[ab]"'):
        score(table({}), model, site="hospital-c")
    with pytest.raises(SettingError, match=r"one intercept for all clients\. Leave out --site"):
        score(table({}), site="hospital-a")


def test_a_notebook_is_warned_and_refused_alike() -> None:
    """The API has the same rules, with NaN instead of a reason."""
    model = Model(MODEL)
    frame = pd.DataFrame([ROW, ROW | {"sex": "mars"}, ROW | {"amount": "-1"}], index=["a", "b", "c"])
    with pytest.raises(FeatureError, match="the frame: 1 of 3 rows cannot be scored"):
        model.predict_proba(frame)
    with pytest.warns(UserWarning, match="sex: 1 of 3 rows hold a level that the model does not know"):
        found = model.predict_proba(frame, on_error="row")
    assert found.isna().to_dict() == {"a": False, "b": False, "c": True}
    with pytest.raises(FeatureError, match="--allow-unknown"):
        model.predict_proba(frame.iloc[1:2])
    with pytest.raises(SettingError, match="--site"):
        model.predict_proba(frame, site="hospital-a")
