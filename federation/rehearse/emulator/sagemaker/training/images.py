"""The location of AWS's scikit-learn training image: one registry account per region.

https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
"""

import re
from dataclasses import dataclass

from federation.config.regions import IMAGE_REGISTRIES
from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError, NotEmulatedError

REPOSITORY = "sagemaker-scikit-learn"
_URI = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)[:@](.+)")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A training image that exists.

    Parameters
    ----------
    repository_arn : str
        The repository from which a role must be allowed to pull.
    """

    repository_arn: str


def find_image(uri: str, region: str, mirrored: tuple[str, ...]) -> Image:
    """Return the image a job names.

    Parameters
    ----------
    uri : str
        The job's ``TrainingImage``.
    region : str
        The job's region, which must be the registry's.
    mirrored : tuple of str
        The ``repository:tag`` that this machine has an environment for.

    Raises
    ------
    InvalidRequestError
        AWS has no such image there.
    NotEmulatedError
        AWS may have it; this machine has not.
    """
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise InvalidRequestError(f"Invalid image URI {uri}. Please provide an image in an ECR repository.")
    account, image_region, repository, tag = parts.groups()
    if image_region != region:
        raise InvalidRequestError(
            f"The image {uri} is in region {image_region}. It must be in the region of the job, {region}."
        )
    if account != IMAGE_REGISTRIES.get(region):
        raise InvalidRequestError(
            f"Cannot find repository: {repository} in registry ID: {account} Please check if your ECR "
            "repository exists and role has proper pull permissions for SageMaker."
        )
    if f"{repository}:{tag}" not in mirrored:
        raise NotEmulatedError(f"the image {repository}:{tag}, only {', '.join(mirrored)}")
    return Image(repository_arn=f"arn:aws:ecr:{region}:{account}:repository/{repository}")
