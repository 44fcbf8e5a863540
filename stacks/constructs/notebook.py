"""The notebook inside the network from which a party's operator works."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from federation.config.names import NOTEBOOK_PREFIX, PartyNames
from federation.config.schema import Client, Server

START_SCRIPT = Path(__file__).parent.parent / "lifecycle" / "on_start.sh"
PLATFORM = "notebook-al2023-v1"


class Notebook(Construct):
    """A SageMaker notebook without internet and without root, ready to run the product.

    At each start it installs the bundle that the party's operator published to the party's own code bucket.

    Parameters
    ----------
    party : Server or Client
        The party that owns the notebook.
    own : PartyNames
        Names of the party's resources.
    module : str
        The module that runs on the notebook, such as ``federation.server``.
    role : IRole
        The role of the notebook.
    key : IKey
        Encrypts its volume.
    subnet_id : str
        An isolated subnet.
    security_group : ISecurityGroup
        Its security group.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        party: Server | Client,
        own: PartyNames,
        module: str,
        role: iam.IRole,
        key: kms.IKey,
        subnet_id: str,
        security_group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        script = start_script(code_bucket=own.code_bucket, region=own.region, module=module)
        lifecycle = sagemaker.CfnNotebookInstanceLifecycleConfig(
            self,
            "Lifecycle",
            on_start=[
                sagemaker.CfnNotebookInstanceLifecycleConfig.NotebookInstanceLifecycleHookProperty(
                    content=cdk.Fn.base64(script)
                )
            ],
        )
        imds = sagemaker.CfnNotebookInstance.InstanceMetadataServiceConfigurationProperty(
            minimum_instance_metadata_service_version="2"
        )
        self.instance = sagemaker.CfnNotebookInstance(
            self,
            "Instance",
            notebook_instance_name=own.notebook,
            instance_type=party.notebook_instance_type,
            platform_identifier=PLATFORM,
            role_arn=role.role_arn,
            subnet_id=subnet_id,
            security_group_ids=[security_group.security_group_id],
            direct_internet_access="Disabled",
            root_access="Disabled",
            instance_metadata_service_configuration=imds,
            kms_key_id=key.key_arn,
            volume_size_in_gb=party.notebook_volume_gb,
            lifecycle_config_name=lifecycle.attr_notebook_instance_lifecycle_config_name,
        )


def start_script(*, code_bucket: str, region: str, module: str) -> str:
    """Return the start script with the party's settings filled in.

    Parameters
    ----------
    code_bucket : str
        The bucket with the bundle that the operator publishes.
    region : str
        The region of the bucket.
    module : str
        The module that runs on the notebook.
    """
    settings = {
        "FEDERATION_BUNDLE": f"s3://{code_bucket}/{NOTEBOOK_PREFIX}",
        "FEDERATION_MODULE": module,
        "AWS_DEFAULT_REGION": region,
    }
    shebang, body = START_SCRIPT.read_text(encoding="utf-8").split("\n", maxsplit=1)
    exports = "\n".join(f"export {name}='{value}'" for name, value in settings.items())
    return f"{shebang}\n{exports}\n{body}"
