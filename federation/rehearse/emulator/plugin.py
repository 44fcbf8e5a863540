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
from federation.rehearse.settings import EmulatorSettings


def install(settings: EmulatorSettings) -> None:
    """Register every capability, in the order in which they build on each other."""
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
