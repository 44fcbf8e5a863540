"""Check requests against botocore's model of SageMaker, and report violations in AWS's wording.

botocore itself checks only types and required members before it sends a request. The service checks names,
lengths, ranges and choices, so this module must refuse a job name that AWS would refuse.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from federation.rehearse.emulator.sagemaker.api_errors import ApiError, InvalidRequestError


@lru_cache(maxsize=1)
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"))


def operation(name: str) -> OperationModel:
    """Return the model of an operation.

    Raises
    ------
    ApiError
        AWS has no such operation.
    """
    if name not in _service().operation_names:
        raise ApiError("UnknownOperationException", f"SageMaker has no operation {name!r}.")
    return _service().operation_model(name)


def check_request(name: str, request: dict[str, Any]) -> None:
    """Raise with every violation of the operation's model, as AWS lists them."""
    problems = list(_violations(operation(name).input_shape, request, ""))
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise InvalidRequestError(count + "; ".join(problems))


def _violations(shape: Shape | None, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        yield from _structure_violations(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _length_violations(shape, value, path)
        for index, item in enumerate(value, 1):
            yield from _violations(shape.member, item, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        yield from _length_violations(shape, value, path)
        for key, item in value.items():
            yield from _violations(shape.key, key, path)
            yield from _violations(shape.value, item, f"{path}.{key}.member")
    elif shape is not None:
        yield from _scalar_violations(shape, value, path)


def _structure_violations(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield _violation(None, _member(path, name), "Member must not be null")
    for name, item in value.items():
        if name in shape.members:
            yield from _violations(shape.members[name], item, _member(path, name))


def _member(path: str, name: str) -> str:
    own = name[0].lower() + name[1:]
    return f"{path}.{own}" if path else own


def _violation(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _length_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and len(value) < least:
        yield _violation(value, path, f"Member must have length greater than or equal to {least}")
    if most is not None and len(value) > most:
        yield _violation(value, path, f"Member must have length less than or equal to {most}")


def _scalar_violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _length_violations(shape, value, path)
        if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
            choices = ", ".join(shape.metadata["enum"])
            yield _violation(value, path, f"Member must satisfy enum value set: [{choices}]")
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            yield _violation(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield _violation(value, path, f"Member must have value greater than or equal to {least}")
        if most is not None and value > most:
            yield _violation(value, path, f"Member must have value less than or equal to {most}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # a Java pattern (``\p{L}``) that Python does not read
        return True
