"""Environment variables of the processes that a rehearsal starts."""

from collections.abc import Mapping

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_PROXY = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def emulator_environment(
    outer: Mapping[str, str], *, port: int, scratch: str, python_path: str
) -> dict[str, str]:
    """Return the environment of the embedded AWS itself: IAM is enforced, and unused features are off.

    No AWS variable of the caller is inherited: ministack takes an access key found there for the root of
    everything. The docker socket is hidden, since ministack removes containers it takes for its own.
    """
    return {
        **{name: outer[name] for name in _INHERITED if name in outer},
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",
        "GATEWAY_PORT": str(port),
        "HOME": scratch,
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        "MALLOC_ARENA_MAX": "1",  # else glibc keeps a heap for each thread, and seldom gives it back
        "MALLOC_MMAP_THRESHOLD_": "65536",  # and gives back what held a wheel only at the very end
        "MINISTACK_WORKER_THREADS": "4",
        "PERSIST_STATE": "0",
        "PYTHONPATH": python_path,
        "PYTHONUNBUFFERED": "1",
        "S3_DATA_DIR": f"{scratch}/s3",  # objects on disk: wheels of several parties would fill the memory
        "S3_PERSIST": "1",
        "SERVICES": ",".join(SERVICES),
        "SFTP_ENABLED": "0",
        "TMPDIR": scratch,
    }


# What the stacks, the CDK CLI and the server call. Everything else is refused.
SERVICES = (
    "cloudformation",
    "ec2",
    "ecr",
    "iam",
    "kms",
    "logs",
    "monitoring",
    "s3",
    "ssm",
    "sts",
    "tagging",
)


def client_environment(
    outer: Mapping[str, str], *, endpoint_url: str, credentials: Mapping[str, str], region: str
) -> dict[str, str]:
    """Return ``outer`` with its AWS and proxy settings replaced by ours.

    Parameters
    ----------
    outer : mapping of str
        The environment to start from, usually ``os.environ``.
    endpoint_url : str
        URL of the embedded AWS.
    credentials : mapping of str
        ``AWS_ACCESS_KEY_ID`` and its companions.
    region : str
        The default region.
    """
    kept = {
        name: value
        for name, value in outer.items()
        if not name.upper().startswith(("AWS_", "AMAZON_")) and name.lower() not in _PROXY
    }
    return {
        **kept,
        **credentials,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "CDK_DISABLE_CLI_TELEMETRY": "1",
    }
