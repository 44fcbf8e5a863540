"""What the server's own account shows of its notebook and network."""

import boto3

from federation.aws.errors import translated
from federation.aws.identity import QUICK
from federation.aws.networks import look_at
from federation.config import FederationConfig
from federation.road import Side


class ServerAccount:
    """The server's account as the notebook's role sees it.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    session : boto3.session.Session
        With credentials of that account.
    """

    def __init__(self, config: FederationConfig, session: boto3.session.Session) -> None:
        self._own = config.server_names
        self._session = session

    def side(self) -> Side:
        """Return the notebook's end of the road to the clients.

        Raises
        ------
        AwsError
            The notebook is not there, or the credentials may not look.
        """
        region = self._own.region
        with translated(
            "describe it",
            f'notebook "{self._own.notebook}" of account {self._own.account}',
            denied=f"Use the role {self._own.notebook_role}, or deploy ServerStack with this configuration.",
        ):
            sagemaker = self._session.client("sagemaker", region_name=region, config=QUICK)
            notebook = sagemaker.describe_notebook_instance(NotebookInstanceName=self._own.notebook)
        with translated(
            "look at its network", f"account {self._own.account}", denied="Deploy ServerStack again."
        ):
            ec2 = self._session.client("ec2", region_name=region, config=QUICK)
            return look_at(ec2, [notebook["SubnetId"]], notebook["SecurityGroups"])
