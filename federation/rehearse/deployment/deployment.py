"""Deploy a federation into the embedded AWS with the real CDK CLI, and remove it completely."""

from federation.rehearse.deployment.cdk import Cdk
from federation.rehearse.deployment.clean_up import empty_buckets, remove_toolkit
from federation.rehearse.deployment.leftovers import Remains, remains
from federation.rehearse.errors import LeftoversError
from federation.rehearse.stage.accounts import Account
from federation.rehearse.stage.stage import Stage


class Deployment:
    """The stacks of one federation, in one embedded AWS.

    Parameters
    ----------
    stage : Stage
        The federation to deploy, and its AWS.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage, self._steps = stage, stage.steps
        self._config, self._accounts, self._connect = stage.config, stage.accounts, stage.connect
        scratch = stage.aws.scratch / "cdk"
        scratch.mkdir(exist_ok=True)
        self._cdk = Cdk(
            stage.aws,
            config=stage.config_file,
            operator=self._accounts[0],
            scratch=scratch,
            logs=stage.logs,
        )

    def deploy(self) -> None:
        """Bootstrap every account and deploy all stacks.

        Raises
        ------
        DeployError
            The CDK CLI failed.
        """
        with self._steps.step("bootstrap", f"Bootstrapping {len(self._accounts)} accounts with the CDK CLI"):
            self._cdk.bootstrap(self._accounts, self._config.federation.bootstrap_qualifier)
        with self._steps.step("deploy", "Deploying all stacks with one `cdk deploy`"):
            self._cdk.deploy(self._steps.part)

    def destroy(self) -> None:
        """Empty the buckets if the configuration requires it, and destroy everything that `deploy` created.

        Raises
        ------
        DestroyError
            Something could not be destroyed.
        """
        policy = self._config.federation.removal_policy
        if policy == "destroy":
            with self._steps.step("empty", 'Emptying the buckets, for removal_policy is "destroy"'):
                for emptied in empty_buckets(self._stage):
                    self._steps.part(str(emptied))
        else:
            self._steps.note(f'Keeping the buckets as they are, for removal_policy is "{policy}"')
        with self._steps.step("destroy", "Destroying all stacks with `cdk destroy`"):
            self._cdk.destroy(self._steps.part)
        with self._steps.step("toolkit", "Removing the CDK's own stack and bucket from every account"):
            for account in self._accounts:
                remove_toolkit(self._connect, account)

    def prove_nothing_left(self) -> str:
        """List everything in every account, and return a line that states the result.

        Raises
        ------
        LeftoversError
            Something is left; it has been listed.
        """
        with self._steps.step("prove", "Asking every account what is left"):
            found = {str(account): self._remains(account) for account in self._accounts}
            left = {account: each.left for account, each in found.items() if each.left}
            for account, names in left.items():
                self._steps.part(f"{account}:")
                for name in names:
                    self._steps.part(f"  {name}")
        if left:
            raise LeftoversError(
                f"{sum(map(len, left.values()))} things are left in {len(left)} accounts, listed above.",
                'They stay if removal_policy is "retain"; else look in destroy.log.',
            )
        keys = sum(each.keys_pending for each in found.values())
        records = sum(each.job_records for each in found.values())
        return (
            f"Nothing left in {len(found)} accounts (as on AWS, {keys} keys are pending deletion, "
            f"and SageMaker keeps the records of {records} ended jobs)."
        )

    def _remains(self, account: Account) -> Remains:
        return remains(self._connect, account, self._config.federation.name)
