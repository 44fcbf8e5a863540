"""Register all capabilities in ministack's tables."""

from federation.rehearse.emulator.access import condition_keys, log_stream_arns, service_trust
from federation.rehearse.emulator.http import loopback_only
from federation.rehearse.emulator.network import flow_logs, security_group_rules, vpc_attributes, vpc_peering
from federation.rehearse.emulator.objects import bodies_on_disk, bucket_settings, object_encryption
from federation.rehearse.emulator.sagemaker import service
from federation.rehearse.emulator.sagemaker.notebooks import notebook_types
from federation.rehearse.emulator.sagemaker.session_endpoint import Sessions
from federation.rehearse.emulator.sagemaker.training.instances import Instances
from federation.rehearse.emulator.stacks import (
    no_outside_scripts,
    stack_identity,
    stack_output,
    tagged_resources,
    taken_names,
)
from federation.rehearse.machine.settings import EmulatorSettings


def install(settings: EmulatorSettings, sessions: Sessions) -> Instances:
    """Register every capability, and return the manager of training instances.

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
