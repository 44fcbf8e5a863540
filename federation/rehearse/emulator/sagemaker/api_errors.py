"""Errors the SageMaker API answers with."""


class ApiError(Exception):
    """An error with AWS's code and message.

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
    """The request is invalid."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class AccessDeniedError(ApiError):
    """IAM does not allow the request."""

    def __init__(self, message: str) -> None:
        super().__init__("AccessDeniedException", message)


class NotEmulatedError(ApiError):
    """AWS supports this and the emulator does not; the emulator never pretends."""

    def __init__(self, feature: str) -> None:
        super().__init__("NotEmulatedException", f"The rehearsal's emulator does not do {feature}.")
