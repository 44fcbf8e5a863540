"""Remove what the CDK does not: the content of buckets, and the CDK's own stack in each account."""

import re
import sys
import time
from dataclasses import dataclass

from federation.aws.edge.buckets.emptying import empty_bucket
from federation.rehearse.deployment.cdk import tool_environment
from federation.rehearse.errors import DestroyError
from federation.rehearse.machine.processes import Command, failure, run_together
from federation.rehearse.stage.accounts import Account, Connect
from federation.rehearse.stage.stage import Stage

TOOLKIT = "CDKToolkit"
_DEADLINE = 60.0
_POLL = 0.1
_EMPTIED = re.compile(r"(?P<bucket>[a-z0-9-]+): (?P<versions>[1-9][0-9,]* versions) deleted")


@dataclass(frozen=True, kw_only=True)
class Emptied:
    """A bucket that was not empty.

    Parameters
    ----------
    bucket : str
        Its name.
    versions : str
        The number of deleted object versions, as the command printed it.
    """

    bucket: str
    versions: str

    def __str__(self) -> str:
        return f"{self.bucket}: {self.versions} deleted"


def empty_buckets(stage: Stage) -> list[Emptied]:
    """Empty every party's buckets, as its own operator does: with ``federation.empty``.

    Raises
    ------
    DestroyError
        One of them could not be emptied.
    """
    names = [stage.config.server.name, *(client.name for client in stage.config.clients)]
    commands = [_empty(stage, name, account) for name, account in zip(names, stage.accounts, strict=True)]
    emptied = []
    for account, command, code in zip(stage.accounts, commands, run_together(commands), strict=True):
        if code:
            raise DestroyError(*failure(f"{account}: federation.empty", code, command.log))
        found = map(_EMPTIED.fullmatch, command.log.read_text(encoding="utf-8").splitlines())
        emptied += [Emptied(**each.groupdict()) for each in found if each]
    return emptied


def _empty(stage: Stage, party: str, account: Account) -> Command:
    return Command(
        words=[
            *(sys.executable, "-m", "federation.empty", "--config", str(stage.config_file)),
            *("--party", party, "--yes"),
        ],
        environment=tool_environment(stage.aws.environment(account=account.number, region=account.region)),
        folder=stage.config_file.parent,
        log=stage.logs / f"empty-{party}.log",
    )


def remove_toolkit(connect: Connect, account: Account) -> None:
    """Delete the CDK's own stack, and the bucket of templates that the stack retains by design.

    Raises
    ------
    DestroyError
        The stack is still there after a minute, or failed.
    """
    cloudformation, s3 = connect("cloudformation", account), connect("s3", account)
    [stack] = cloudformation.describe_stacks(StackName=TOOLKIT)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    cloudformation.delete_stack(StackName=TOOLKIT)
    deadline = time.monotonic() + _DEADLINE
    while True:
        [stack] = cloudformation.describe_stacks(StackName=stack["StackId"])["Stacks"]
        if stack["StackStatus"] == "DELETE_COMPLETE":
            break
        if stack["StackStatus"] == "DELETE_FAILED" or time.monotonic() > deadline:
            raise DestroyError(
                f"{account}: the stack {TOOLKIT} is {stack['StackStatus']}: "
                f"{stack.get('StackStatusReason', 'no reason given')}.",
                "Delete it by hand.",
            )
        time.sleep(_POLL)
    empty_bucket(s3, outputs["BucketName"], account.number)
    s3.delete_bucket(Bucket=outputs["BucketName"])
