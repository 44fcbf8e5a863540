"""Where AWS keeps its scikit-learn training image: one registry account a region.

https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
"""

import re
from dataclasses import dataclass

from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError, NotEmulatedError

REPOSITORY = "sagemaker-scikit-learn"
REGISTRIES = {
    "af-south-1": "510948584623",
    "ap-east-1": "651117190479",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "720646828776",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ca-central-1": "341280168497",
    "eu-central-1": "492215442770",
    "eu-north-1": "662702820516",
    "eu-south-1": "978288397137",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "me-south-1": "801668240914",
    "sa-east-1": "737474898029",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
}
_URI = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)[:@](.+)")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A training image that exists.

    Parameters
    ----------
    repository_arn : str
        What a role must be allowed to pull from.
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
    if account != REGISTRIES.get(region):
        raise InvalidRequestError(
            f"Cannot find repository: {repository} in registry ID: {account} Please check if your ECR "
            "repository exists and role has proper pull permissions for SageMaker."
        )
    if f"{repository}:{tag}" not in mirrored:
        raise NotEmulatedError(f"the image {repository}:{tag}, only {', '.join(mirrored)}")
    return Image(repository_arn=f"arn:aws:ecr:{region}:{account}:repository/{repository}")
