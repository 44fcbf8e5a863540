"""What script mode makes of a training job's request, in as many words as its toolkit."""

import json
from collections.abc import Mapping
from typing import Any


def arguments(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of ``client.py`` by name: each hyperparameter's JSON is decoded.

    The rehearsal's tests run the toolkit itself.
    """
    given = request["HyperParameters"].items()
    return {name: str(json.loads(value)) for name, value in given if not name.startswith("sagemaker_")}
