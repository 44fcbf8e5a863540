"""Register all capabilities in ministack's tables."""

from federation.rehearse.emulator import (
    bodies_on_disk,
    bucket_settings,
    condition_keys,
    flow_logs,
    log_stream_arns,
    loopback_only,
    no_outside_scripts,
    object_encryption,
    security_group_rules,
    service_trust,
    stack_identity,
    stack_output,
    tagged_resources,
    taken_names,
    vpc_attributes,
    vpc_peering,
)
from federation.rehearse.emulator.sagemaker import notebook_types, service
from federation.rehearse.emulator.sagemaker.instances import Instances
from federation.rehearse.emulator.session_endpoint import Sessions
from federation.rehearse.settings import EmulatorSettings


def install(settings: EmulatorSettings, sessions: Sessions) -> Instances:
    """Register every capability, and return the training instances that will run.

    The order matters where one capability wraps what another registered.
    """
    no_outside_scripts.install()
    loopback_only.install()
    condition_keys.install()
    service_trust.install()
    log_stream_arns.install()
    stack_identity.install()
    stack_output.install()
    security_group_rules.install()
    vpc_attributes.install()
    vpc_peering.install()
    flow_logs.install()
    bucket_settings.install()
    tagged_resources.install()
    taken_names.install()
    bodies_on_disk.install()
    object_encryption.install()
    notebook_types.install()
    return service.install(settings, sessions)
