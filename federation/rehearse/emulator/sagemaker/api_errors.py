"""Errors the SageMaker API answers with."""


class ApiError(Exception):
    """An error with the code and message AWS gives.

    Parameters
    ----------
    code : str
        Such as ``ValidationException``.
    message : str
        The text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidRequestError(ApiError):
    """The request cannot be fulfilled as it is."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class AccessDeniedError(ApiError):
    """IAM does not allow it."""

    def __init__(self, message: str) -> None:
        super().__init__("AccessDeniedException", message)


class NotEmulatedError(ApiError):
    """AWS does this, and the emulator does not. It never pretends."""

    def __init__(self, feature: str) -> None:
        super().__init__("NotEmulatedException", f"The rehearsal's emulator does not do {feature}.")
