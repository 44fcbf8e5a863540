"""Run the real CDK CLI: bootstrap, deploy, destroy; report the reason of a failure in one line."""

import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from federation.checkout import PROJECT
from federation.rehearse.errors import DeployError, DestroyError, ToolMissingError
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.machine.processes import Command, run, run_together
from federation.rehearse.stage.accounts import Account

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
_BEGAN = re.compile(r"^(?P<stack>[\w-]+): (?:creating CloudFormation changeset|destroying)\.\.\.")
_ENDED = re.compile(r"^\s*✅\s+(?P<stack>[\w-]+)(?:: destroyed| \(no changes\))?$")
_SYNTHESISED = re.compile(r"^✨\s+Synthesis time: (?P<seconds>[0-9.]+)s$")
_FAILED = re.compile(r"\| (?:CREATE|UPDATE|DELETE)_FAILED +\| (?P<kind>[\w:]+) +\| (?P<what>.*)$")
_CONSEQUENCE = "Resource creation cancelled"
OnStack = Callable[[str, float], None]


class Cdk:
    """The CDK CLI, for one configuration.

    Parameters
    ----------
    aws : EmbeddedAws
        The AWS into which it deploys.
    config : pathlib.Path
        The configuration of the federation.
    operator : Account
        The account whose credentials it uses; the others trust it, see how-to-deploy-as-one-operator.md.
    scratch : pathlib.Path
        A folder for the synthesised templates.
    logs : pathlib.Path
        A folder for the CLI's output.
    clock : callable, optional
        Returns seconds.

    Raises
    ------
    ToolMissingError
        The CLI is not installed.
    """

    def __init__(
        self,
        aws: EmbeddedAws,
        *,
        config: Path,
        operator: Account,
        scratch: Path,
        logs: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws, self._operator, self._logs, self._clock = aws, operator, logs, clock
        self._scratch = scratch
        self._config = config.resolve()
        self._program = PROJECT / "node_modules" / ".bin" / "cdk"
        if not self._program.exists():
            raise ToolMissingError(
                f"The CDK CLI is not installed: there is no {self._program.relative_to(PROJECT)}.",
                "Run `make demo`, or `npm ci` in the checkout.",
            )

    def bootstrap(self, accounts: Sequence[Account], qualifier: str) -> None:
        """Prepare accounts for the CDK concurrently: they share nothing.

        Raises
        ------
        DeployError
            One of them could not be.
        """
        commands = [self._bootstrap(account, qualifier) for account in accounts]
        for account, command, code in zip(accounts, commands, run_together(commands), strict=True):
            if code:
                raise DeployError(
                    f"{account}: `cdk bootstrap` failed: {_reason(command.log)}", _see(command.log)
                )

    def deploy(self, on_stack: OnStack, *stacks: str) -> None:
        """Deploy all stacks with one command, in the order they depend on each other.

        Parameters
        ----------
        on_stack : callable
            Receives each stack's name and seconds when the stack is complete.
        *stacks : str
            Only these, without those they depend on.

        Raises
        ------
        DeployError
            A stack failed, and was rolled back.
        """
        app = f"{shlex.quote(sys.executable)} app.py"
        command = self._command(
            "deploy",
            *((*stacks, "--exclusively") if stacks else ("--all",)),
            *("--app", app, "--context", f"config={self._config}"),
            *("--output", str(self._assembly), "--require-approval", "never", "--concurrency", "4"),
        )
        if run(command, _Stacks(on_stack, self._clock).read):
            raise DeployError(f"`cdk deploy` failed: {_reason(command.log)}", _see(command.log))

    def destroy(self, on_stack: OnStack) -> None:
        """Destroy all stacks that `deploy` created, the last one first.

        Raises
        ------
        DestroyError
            A stack could not be destroyed.
        """
        command = self._command("destroy", "--all", "--force", "--app", str(self._assembly))
        if run(command, _Stacks(on_stack, self._clock).read):
            raise DestroyError(f"`cdk destroy` failed: {_reason(command.log)}", _see(command.log))

    @property
    def _assembly(self) -> Path:
        return self._scratch / "cdk.out"

    def _bootstrap(self, account: Account, qualifier: str) -> Command:
        trust = () if account == self._operator else ("--trust", self._operator.number)
        return Command(
            words=[
                *(str(self._program), "bootstrap", f"aws://{account.number}/{account.region}"),
                *("--qualifier", qualifier, "--ci", "--cloudformation-execution-policies", ADMINISTRATOR),
                *trust,
            ],
            environment=tool_environment(
                self._aws.environment(account=account.number, region=account.region)
            ),
            folder=self._scratch,  # not the checkout: the CLI would run the app first
            log=self._logs / f"bootstrap-{account.number}.log",
        )

    def _command(self, verb: str, *arguments: str) -> Command:
        return Command(
            words=[str(self._program), verb, "--ci", "--progress", "events", "--no-color", *arguments],
            environment=tool_environment(
                self._aws.environment(account=self._operator.number, region=self._operator.region)
            ),
            folder=PROJECT,
            log=self._logs / f"{verb}.log",
        )


def tool_environment(environment: Mapping[str, str], checkout: Path = PROJECT) -> dict[str, str]:
    """Return an environment with our checkout, where this interpreter's programs (node, aws) come first."""
    path = f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}"
    return {**environment, "PATH": path, "PYTHONPATH": str(checkout)}


class _Stacks:
    """Read the CLI's output, and report when a stack is complete and its duration."""

    def __init__(self, on_stack: OnStack, clock: Callable[[], float]) -> None:
        self._on_stack, self._clock = on_stack, clock
        self._began: dict[str, float] = {}

    def read(self, line: str) -> None:
        if began := _BEGAN.match(line):
            self._began[began["stack"]] = self._clock()
        elif synthesised := _SYNTHESISED.match(line):
            self._on_stack("templates", float(synthesised["seconds"]))
        elif (ended := _ENDED.match(line)) and ended["stack"] in self._began:
            self._on_stack(ended["stack"], self._clock() - self._began[ended["stack"]])


def _reason(log: Path) -> str:
    """Return the first cause in the CLI's output: a resource's, else the app's, else the CLI's own."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    failed = [found for line in lines if (found := _FAILED.search(line))]
    failed.sort(key=lambda found: found["kind"] == "AWS::CloudFormation::Stack")  # its reason is another's
    causes = [f"{found['kind']} {found['what']}" for found in failed if _CONSEQUENCE not in found["what"]]
    said = [line for line in lines if line.startswith(("error: ", "❌"))] or [line for line in lines if line]
    return (causes or said or ["it said nothing."])[0]


def _see(log: Path) -> str:
    return f"The rest is in {log}."
