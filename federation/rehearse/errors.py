"""What can go wrong in the rehearsal itself, with exit codes from 60 to 69."""

from federation.errors import FederationError


class EmbeddedAwsError(FederationError, code=60):
    """The rehearsal's AWS did not start, or died while it was starting."""


class JobEnvironmentError(FederationError, code=61):
    """The environment that stands in for the training image could not be built."""


class ToolMissingError(FederationError, code=62):
    """A program that the rehearsal runs is not installed."""


class DeployError(FederationError, code=63):
    """``cdk bootstrap`` or ``cdk deploy`` failed in the rehearsal."""


class PublishFailedError(FederationError, code=64):
    """``federation.publish`` failed in the rehearsal."""


class NotebookError(FederationError, code=65):
    """The notebook's start script did not make the notebook ready."""


class ServerRunError(FederationError, code=66):
    """``federation.server`` failed in the rehearsal."""


class CollectionError(FederationError, code=67):
    """What a run should have saved is not there, or differs between the parties."""


class DestroyError(FederationError, code=68):
    """What was deployed could not be destroyed."""


class LeftoversError(FederationError, code=69):
    """Something is left in an account after everything was destroyed."""
