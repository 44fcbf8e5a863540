"""A setting as the options of a command and the checks of its value see it: one field of a dataclass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Any, get_args, get_origin

from federation.errors import SettingError

TRAINING, FAULTS = "Training", "Faults"
KINDS: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """Describe a field of the settings: to people, and to what checks its value.

    Parameters
    ----------
    text : str
        What it means, one sentence.
    group : str
        The heading that it stands under in ``--help``.
    unit : str, optional
        What its number counts.
    minimum : int, optional
        The least value.
    above : float, optional
        What a value must exceed.
    choices : tuple of str
        All values, if they are few.
    default : str, optional
        What None stands for.
    flag : str, optional
        The option's name, if it is not that of the field.
    """

    text: str
    group: str = TRAINING
    unit: str | None = None
    minimum: int | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    flag: str | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field of the settings, as options and checks see it.

    Parameters
    ----------
    name : str
        The field's name.
    kind : type
        ``str``, ``int``, ``float``, ``bool``, or ``dict`` for the strategy's parameters.
    optional : bool
        Whether its value may be None.
    default : object
        Its default; None where that depends on the rest.
    option : Option
        How it is described.
    """

    name: str
    kind: type
    optional: bool
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """The name of its option, with underscores."""
        return self.option.flag or self.name

    @property
    def key(self) -> str:
        """Its name in the run configuration of a Flower app."""
        return self.name.replace("_", "-")

    @property
    def limits(self) -> str:
        """Its range in words, such as "at least 1"; empty if it has none."""
        if self.option.minimum is not None:
            return f"at least {self.option.minimum}"
        return "" if self.option.above is None else f"above {self.option.above:g}"

    def check(self, value: object) -> None:
        """Refuse a value of another type, or one out of range.

        Raises
        ------
        SettingError
            It is; says what would be valid.
        """
        if not (self._fits(value) or (self.optional and value is None)):
            raise SettingError(f"{self.name} = {value!r} is not valid.", f"Use {self._valid()}.")

    def _fits(self, value: object) -> bool:
        least, above, choices = self.option.minimum, self.option.above, self.option.choices
        if self.kind is not bool and isinstance(value, bool):
            return False
        if self.kind is int:
            return isinstance(value, Integral) and (least is None or int(value) >= least)
        if self.kind is float:
            return (
                isinstance(value, Real) and math.isfinite(value) and (above is None or float(value) > above)
            )
        return isinstance(value, Mapping if self.kind is dict else self.kind) and (
            not choices or value in choices
        )

    def _valid(self) -> str:
        if self.option.choices:
            return " or ".join(self.option.choices)
        what = "names with their values" if self.kind is dict else KINDS[self.kind]
        unit = f" of {self.option.unit}" if self.option.unit and self.limits else ""
        return f"{what}{unit}{', ' if self.limits else ''}{self.limits}"


def setting_of(name: str, hint: Any, default: Any) -> Setting:  # noqa: ANN401 - any type's hint and default
    """Return the description of a field, from its annotated type and its default."""
    annotated, option = get_args(hint)
    kinds = [kind for kind in get_args(annotated) if kind is not NoneType]
    mapping = get_origin(annotated) is not None and issubclass(dict, get_origin(annotated))
    kind = dict if mapping else (kinds or [annotated])[0]
    optional = NoneType in get_args(annotated)
    return Setting(name=name, kind=kind, optional=optional, default=default, option=option)
