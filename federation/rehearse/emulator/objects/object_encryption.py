"""The KMS key of an object: a principal that reads or writes the object must be allowed to use the key.

Plain ministack never checks this, so a role without ``kms:Decrypt`` would pass here and fail on AWS. It also
refuses ``aws:kms`` without a key, which means S3's own key of the account.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from dataclasses import dataclass

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import may

_ENCRYPTION = "x-amz-server-side-encryption"
_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_OWN_KEY = "alias/aws/s3"
# Requests about an object that do not touch its content.
_ABOUT = frozenset({"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId"})


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """The use of a key by a request."""

    action: str
    key_arn: str


def name_the_key(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a request with the key that they refer to."""
    if headers.get(_ENCRYPTION) != "aws:kms" or headers.get(_KEY):
        return headers
    return {**headers, _KEY: f"arn:aws:kms:{ministack.region()}:{ministack.account_id()}:{_OWN_KEY}"}


def key_use(method: str, path: str, headers: dict[str, str], query: dict[str, list[str]]) -> KeyUse | None:
    """Return which key a request uses and how, or None when it uses no key of a customer."""
    bucket, _, key = path.removeprefix("/").partition("/")
    owner = ministack.bucket_owner(bucket)
    if not key or owner is None or _ABOUT & query.keys():
        return None
    with ministack.acting_as(owner, ministack.region()):
        if method == "GET":
            stored = ministack.buckets[bucket]["objects"].get(key)
            found = ministack.stored_encryption(stored) if stored else {}
            action = "kms:Decrypt"
        elif method in ("PUT", "POST"):
            found = headers if _ENCRYPTION in headers else ministack.default_encryption(bucket)
            action = "kms:GenerateDataKey"
        else:
            return None
        record = ministack.find_key(found.get(_KEY, ""))
    return KeyUse(action=action, key_arn=record["Arn"]) if record else None


def _allowed(use: KeyUse, principal: ministack.Principal) -> bool:
    _, _, _, region, account, _ = use.key_arn.split(":", 5)
    with ministack.acting_as(account, region):
        return may(principal, use.action, use.key_arn, {"kms:ViaService": f"s3.{region}.amazonaws.com"})


def install() -> None:
    """Wrap the S3 service."""
    handle = ministack.SERVICE_HANDLERS["s3"]

    async def handle_with_keys(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> ministack.Response:
        headers = name_the_key(headers)
        use = key_use(method, path, headers, query)
        access_key = ministack.access_key_of(headers, query)
        if use is not None and access_key:
            principal = ministack.principal_of_key(access_key, ministack.account_id())
            if not _allowed(use, principal):
                denied = ministack.denial_message(use.action, principal.arn, use.key_arn, explicit_deny=False)
                return ministack.s3_error("AccessDenied", denied, 403)
        response: ministack.Response = await handle(method, path, headers, body, query)
        return response

    ministack.SERVICE_HANDLERS["s3"] = handle_with_keys
