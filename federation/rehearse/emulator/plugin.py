"""Register all capabilities in ministack's tables."""

from federation.rehearse.emulator import (
    bucket_settings,
    flow_logs,
    loopback_only,
    no_outside_scripts,
    principal_arn,
    security_group_rules,
    stack_identity,
    stack_output,
    vpc_attributes,
    vpc_peering,
)
from federation.rehearse.emulator.sagemaker import notebook_types, service
from federation.rehearse.emulator.sagemaker.instances import Instances
from federation.rehearse.settings import EmulatorSettings


def install(settings: EmulatorSettings) -> Instances:
    """Register every capability, and return the training instances that will run.

    The order matters where one capability wraps what another registered.
    """
    no_outside_scripts.install()
    loopback_only.install()
    principal_arn.install()
    stack_identity.install()
    stack_output.install()
    security_group_rules.install()
    vpc_attributes.install()
    vpc_peering.install()
    flow_logs.install()
    bucket_settings.install()
    notebook_types.install()
    return service.install(settings)
