"""A trained model in a notebook: its probabilities, its coefficients, and scikit-learn's form of it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from federation.api.frames import as_file
from federation.cli.tables import open_tables
from federation.data.files.folder import find_tables
from federation.data.files.text import Format
from federation.errors import FeatureError, SchemaMismatchError
from federation.model.linear import LinearModel
from federation.model.pipeline import to_pipeline
from federation.model.scoring.findings import OnError
from federation.model.scoring.scorer import Scorer, at_site, read_model

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL = "model.json"
_INFERENCE = ("standard_error", "z", "p", "low", "high", "odds_ratio", "odds_ratio_low", "odds_ratio_high")


class Model:
    """A trained model.

    Parameters
    ----------
    linear : LinearModel
        Its numbers.
    """

    def __init__(self, linear: LinearModel) -> None:
        self._linear = linear

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a ``model.json``, or that of a run's folder; nothing is unpickled.

        Raises
        ------
        MissingFileError
            There is none.
        DataError
            It is not what a run wrote.
        """
        path = Path(path)
        return cls(read_model(path / MODEL if path.is_dir() else path))

    @property
    def label(self) -> str:
        """The name of the column that it predicts."""
        return self._linear.label

    def predict_proba(
        self,
        rows: pd.DataFrame | Path | str,
        *,
        on_error: OnError = "stop",
        allow_unknown: bool = False,
        site: str | None = None,
        missing: Sequence[str] | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
    ) -> pd.Series:
        """Return the probability of the positive class for each row, in [0, 1].

        Warns of levels that the model does not know, numbers far from those of training, and gaps in columns
        of levels that had none: in counts per column. Warns of files in a folder that are not read.

        Parameters
        ----------
        rows : DataFrame, Path or str
            Raw rows with the columns of training, in any order; other columns are ignored. A path is that of
            a table of any kind, or of a folder of them; it may begin with ``s3://``.
        on_error : {"stop", "row"}
            What a row that cannot be scored does: raise, or have NaN instead of a score.
        allow_unknown : bool
            Score rows even if a column holds no level that the model knows.
        site : str, optional
            The client whose intercept is used; by default the mean of all, if each has its own.
        missing : sequence of str, optional
            Words that stand for a missing value; by default those that were declared for training.
        separator, decimal, encoding : str, optional
            How CSV files are written, as in `federation.train`; of a frame only the decimal mark of its texts
            counts.

        Returns
        -------
        Series of float64, shape (n,)
            With the index of the frame; of a file, the row's number, from 1.

        Raises
        ------
        SchemaMismatchError
            A column is missing.
        FeatureError
            A value cannot be used, or no level of a column is known; the message has columns and rows.
        SettingError
            The model has no such client; or how files are written cannot be.
        """
        model = at_site(self._linear, site)
        if isinstance(rows, pd.DataFrame) and rows.empty:
            return pd.Series(index=rows.index, dtype=np.float64, name="score")
        given_form = Format(separator=separator, decimal=decimal, encoding=encoding)
        is_frame = isinstance(rows, pd.DataFrame)
        form = Format(decimal=decimal) if is_frame else given_form
        numbers = rows.select_dtypes("number").columns if isinstance(rows, pd.DataFrame) else ()
        with as_file(rows) as given, open_tables(str(given)) as path:
            assert path is not None, "there are rows"
            unread = find_tables(path).notes
            scorer = Scorer(model, str(path))
            try:
                parts = scorer.of_file(path, form=form, missing=missing, numbers=set(map(str, numbers)))
                scores = np.concatenate([scored.scores for scored in parts])
                scorer.findings.require(on_error=on_error, allow_unknown=allow_unknown)
            except (FeatureError, SchemaMismatchError) as error:
                if not isinstance(rows, pd.DataFrame):
                    raise
                raise type(error)(error.problem.replace(str(path), "the frame"), error.remedy) from None
        for remark in [*unread, *scorer.findings.remarks()]:
            warnings.warn(f"{remark}.", stacklevel=2)
        index = rows.index if isinstance(rows, pd.DataFrame) else range(1, len(scores) + 1)
        return pd.Series(scores, index=index, name="score")

    @property
    def coefficients(self) -> pd.DataFrame:
        """One row a feature: its coefficient and scaling; with ``fednewton`` also its odds ratio.

        Where tests are valid, that is with ``penalty`` "none" or "firth" and without synthetic rows, it has
        the standard error, z, p and the interval too. The coefficient is that of the standardised feature, on
        the scale of log-odds.
        """
        prep, inference = self._linear.preprocessing, self._linear.inference
        frame = pd.DataFrame(
            {
                "coefficient": self._linear.coef,
                "log1p": prep.log1p,
                "mean": prep.mean,
                "scale": prep.scale,
            },
            index=pd.Index(prep.features, name="feature"),
        )
        if inference is None:
            return frame
        by_feature = pd.DataFrame(inference["features"]).set_index("name")
        return frame.join(by_feature[[name for name in _INFERENCE if name in by_feature]])

    @property
    def intercept(self) -> float:
        """The intercept, on the scale of log-odds; with site intercepts their mean."""
        return self._linear.intercept

    @property
    def site_intercepts(self) -> dict[str, float] | None:
        """The intercept of each client, None where there is one for all."""
        sites = self._linear.site_intercepts
        return None if sites is None else dict(sites)

    @property
    def references(self) -> dict[str, str]:
        """The reference level of each categorical column: its other levels' coefficients compare with it."""
        return dict(self._linear.references or {})

    def to_sklearn(self) -> "Pipeline":
        """Return the same model as one fitted scikit-learn Pipeline, which takes a frame of raw columns."""
        return to_pipeline(self._linear)

    def __repr__(self) -> str:
        return f"<federation.Model of {self.label!r}, {len(self._linear.coef)} features>"
