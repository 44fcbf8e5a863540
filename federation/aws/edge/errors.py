"""Translate AWS's errors into our own: the request, the account and how to fix it."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    CredentialRetrievalError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from federation.errors import (
    AccessDeniedError,
    AwsError,
    CredentialsError,
    NotDeployedError,
    UnreachableError,
)

DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled", "403"}
)
BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
MISSING = frozenset(
    {"404", "NoSuchBucket", "NoSuchEntity", "NoSuchKey", "ResourceNotFound", "ResourceNotFoundException"}
)
VALIDATION = frozenset({"ValidationError", "ValidationException"})
MISSING_IN_WORDS = ("does not exist", "RecordNotFound", "Requested resource not found")
"""How CloudFormation and SageMaker say that something is not there."""
CREDENTIAL_ERRORS = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

LOG_IN = (
    "Log in, or choose credentials with AWS_PROFILE; `aws sts get-caller-identity` tells whose are in use."
)
DEPLOY = "Deploy the stack first, and check that this is the configuration it was deployed with."


@contextmanager
def translated(action: str, target: str, *, denied: str, missing: str = DEPLOY) -> Iterator[None]:
    """Raise AWS's refusals and failed connections as an `AwsError`.

    Parameters
    ----------
    action : str
        The requested action, as in ``read``; completes "AWS refused to".
    target : str
        The target of the request, with its account, as in ``bucket "x" of account 111111111111``.
    denied : str
        The remedy if the credentials in use may not do it.
    missing : str
        The remedy if the target is not there.

    Raises
    ------
    AccessDeniedError, CredentialsError, NotDeployedError, UnreachableError, AwsError
        The class depends on AWS's answer.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, action, target, denied, missing) from error
    except CREDENTIAL_ERRORS as error:
        raise CredentialsError(
            f"{target}: no usable AWS credentials ({_sentence(error)}).", LOG_IN
        ) from error
    except (ConnectionError, HTTPClientError) as error:
        raise UnreachableError(
            f"{target}: AWS does not answer ({_sentence(error)}).",
            "Check the network, the configured region and AWS_ENDPOINT_URL, then repeat the command.",
        ) from error
    except BotoCoreError as error:
        raise AwsError(f"{target}: cannot {action} ({_sentence(error)}).", "Mend that and repeat.") from error


def _of_answer(error: ClientError, action: str, target: str, denied: str, missing: str) -> AwsError:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    if code in DENIED:
        return AccessDeniedError(f"{target}: AWS refused to {action} ({code}).", denied)
    if code in MISSING:
        return NotDeployedError(f"{target}: not there ({code}).", missing)
    if code in BAD_CREDENTIALS:
        return CredentialsError(f"{target}: AWS does not accept the credentials in use ({code}).", LOG_IN)
    said = error.response.get("Error", {}).get("Message", "")
    if code in VALIDATION and any(words in said for words in MISSING_IN_WORDS):
        return NotDeployedError(f"{target}: not there ({code}).", missing)
    return AwsError(
        f"{target}: AWS refused to {action} ({code}: {said}).",
        "Look the code up in the service's documentation; if it is throttling, repeat in a minute.",
    )


def _sentence(error: Exception) -> str:
    return str(error).strip().rstrip(".")
