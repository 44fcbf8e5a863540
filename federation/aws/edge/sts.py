"""Ask AWS STS who signed a request."""

from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.parsers import ResponseParserError, create_parser

from client_code.protocol.proof import BODY
from federation.stream.admission.decision import ProofError, UncheckedError
from federation.stream.admission.role_proof import SignedRequest

TIMEOUTS = (3.0, 5.0)  # to connect, to read: both within the verifier's deadline
OK, SERVER_ERROR = 200, 500


def sts_of(region: str) -> Callable[[SignedRequest], str]:
    """Return a function that asks a region's STS, over the network's endpoint for it, who signed a request.

    Neither credentials nor anything else of this process is sent: the request is the client's.

    Parameters
    ----------
    region : str
        The region from the configuration; a client cannot choose the destination of its request.
    """
    session = botocore.session.get_session()
    sts = session.create_client("sts", region_name=region)
    url = sts.meta.endpoint_url + "/"
    shape = sts.meta.service_model.operation_model("GetCallerIdentity").output_shape
    parser = create_parser("query")
    http = URLLib3Session(timeout=TIMEOUTS)

    def ask(request: SignedRequest) -> str:
        prepared = AWSRequest("POST", url, headers=dict(request.headers), data=BODY).prepare()
        try:
            answer = http.send(prepared)
            body = answer.content
        except BotoCoreError as error:
            raise UncheckedError(f"AWS STS does not answer the server ({type(error).__name__})") from error
        if answer.status_code >= SERVER_ERROR:
            raise UncheckedError(f"AWS STS answers the server with status {answer.status_code}")
        response = {"status_code": answer.status_code, "headers": answer.headers, "body": body}
        try:
            return _arn(answer.status_code, parser.parse(response, shape))
        except (ResponseParserError, KeyError) as error:  # KeyError: XML without a result
            raise UncheckedError("AWS STS answers what the server cannot read") from error

    return ask


def _arn(status: int, parsed: dict[str, Any]) -> str:
    if status == OK and "Arn" in parsed:
        return str(parsed["Arn"])
    code = parsed.get("Error", {}).get("Code")
    if code in (None, "Throttling", "ThrottlingException"):
        raise UncheckedError(f"AWS STS tells the server nothing ({code or f'status {status}'})")
    raise ProofError(f"AWS does not accept its proof of identity ({code})")
