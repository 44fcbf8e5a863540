"""Federated Newton takes sums as they come, so a client whose sums no rows lead to is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from federation.errors import RoundError
from tests.attacks.lies import Federation, sending
from tests.unit.test_checked_strategy import Spoil

Seen = Callable[[str], None]


def _times(name: str, factor: float) -> Spoil:
    return sending(lambda values: {name: values[name] * factor} if name in values else {})


LIES = {
    "a Hessian a millionth of the right size": (_times("hessian", 1e-6), "its Hessian is not that of"),
    "a Hessian a million times too large": (_times("hessian", 1e6), "its Hessian is larger than"),
    "a gradient with the opposite sign": (_times("gradient", -1.0), "its gradient is not that of"),
    "a gradient that is a thousand times too large": (_times("gradient", 1e3), "its gradient is not that of"),
    "half of the loss": (_times("loss", 0.5), "its loss is not that of"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.fault("fednewton: {lie}", "ends with exit code 32 in round 1, the client named")
def test_sums_of_other_rows_are_named(lie: str, tmp_path: Path, seen: Seen) -> None:
    """What a client told of its classes decides what its first sums are for the intercept."""
    spoil, words = LIES[lie]
    with pytest.raises(RoundError) as caught:
        Federation(tmp_path, 5).run(spoil, strategy="fednewton")
    assert caught.value.problem.startswith("round 1, train: 4 valid replies of 5 needed. ")
    assert f'Client "c3": {words}' in caught.value.problem
    seen(caught.value.problem.partition("needed. ")[2])
