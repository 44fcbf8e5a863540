"""Keep the content of objects on disk only.

ministack can store bodies in a folder (``S3_PERSIST``), but also keeps those of versioned buckets in memory.
The wheels of several accounts would then use most of the memory. Every reader falls back to the folder.
"""

from federation.rehearse.emulator import ministack_tables as ministack


def _forget_content(bucket: str, key: str) -> None:
    owner = ministack.bucket_owner(bucket)
    if owner is not None:
        with ministack.acting_as(owner, ministack.region()):
            for version in ministack.versions_of(bucket, key):
                if "data" in version:
                    version["data"] = None


def install() -> None:
    """Wrap the S3 service."""
    handle = ministack.SERVICE_HANDLERS["s3"]

    async def handle_and_forget(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> ministack.Response:
        response: ministack.Response = await handle(method, path, headers, body, query)
        bucket, _, key = path.removeprefix("/").partition("/")
        if key and method in ("PUT", "POST"):
            _forget_content(bucket, key)
        return response

    ministack.SERVICE_HANDLERS["s3"] = handle_and_forget
