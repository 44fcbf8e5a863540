"""The pages say what the templates and the measurements say, and lead to each other."""

import re
from collections import Counter
from pathlib import Path

import pytest

from federation.config.schema import Client, Server, Settings
from tests.conftest import ROOT
from tests.infrastructure.deployed import Deployment, Resource, statements
from tests.infrastructure.reachability import Network
from tools import docs_site

PAGES = sorted((ROOT / "docs").rglob("*.md"))
ALL_PAGES = [*PAGES, *(ROOT / page for page in docs_site.OUTSIDE)]
ARCHITECTURE = ROOT / "docs" / "architecture-aws.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
NODE = re.compile(r'(\w+)(?:\[|\(\[)"([^"]+)"')
EDGE = re.compile(r"^(\w+) (?:-->|-\.->)(?:\|([^|]+)\|)? (\w+)$")
PARTY = {"111111111111": "server", "222222222222": "client"}


def diagram(heading: str) -> list[str]:
    """Return the lines of the mermaid diagram below a heading."""
    text = ARCHITECTURE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    block = text.partition("```mermaid\n")[2].partition("```")[0]
    return [line.strip() for line in block.splitlines()]


def edges(heading: str) -> set[tuple[str, str, str]]:
    """Return the arrows of the diagram below a heading."""
    return arrows(diagram(heading))


def arrows(lines: list[str]) -> set[tuple[str, str, str]]:
    """Return a diagram's arrows as (from, label of the arrow, to)."""
    labels = dict(match for line in lines for match in NODE.findall(line))
    bare = [re.sub(r'(?:\[|\(\[)"[^"]+"(?:\]\)|\])', "", line) for line in lines]
    found = [match.groups("") for line in bare if (match := EDGE.match(line))]
    return {(labels.get(one, one), label, labels.get(other, other)) for one, label, other in found}


def test_the_diagram_of_stacks_shows_what_they_hold(example_deployment: Deployment) -> None:
    """Each stack's box lists its endpoints, buckets, named roles, key and notebook, and no others."""
    lines = diagram("Accounts and stacks")
    for stack in ("ServerNetworkStack", "ServerStack", "ClientStack"):
        start = lines.index(f"subgraph {stack}")
        box = lines[start : lines.index("end", start)]
        shown = {label for line in box for _, label in NODE.findall(line)}
        assert shown == _contents([it for it in example_deployment.resources if it.stack == stack]), stack
    crossing = {
        ("ServerNetworkStack", "VpcId", "ClientStack"),
        ("ClientStack", "PeeringConnectionId", "ServerStack"),
    }
    assert edges("Accounts and stacks") == crossing


def _contents(resources: list[Resource]) -> set[str]:
    types = Counter(it.type for it in resources)
    roles = sorted(it.id for it in resources if it.type == "AWS::IAM::Role" and it.id.startswith("FL-"))
    buckets = sorted(
        re.sub(r"^claims-(server|hospital-a)-|-\d{12}$", "", it.id)
        for it in resources
        if it.type == "AWS::S3::Bucket"
    )
    services = sorted(
        it.properties["ServiceName"].partition("us-east-1.")[2]
        for it in resources
        if it.type == "AWS::EC2::VPCEndpoint" and it.properties["VpcEndpointType"] == "Interface"
    )
    present = {
        "VPC, isolated subnets, flow log": types["AWS::EC2::VPC"] and types["AWS::EC2::FlowLog"],
        "endpoints: s3 (gateway)": types["AWS::EC2::VPCEndpoint"] - len(services),
        f"endpoints: {', '.join(services)}": services,
        f"buckets: {', '.join(buckets)}": buckets,
        f"roles: {', '.join(roles)}": roles,
        "key": types["AWS::KMS::Key"],
        "notebook": types["AWS::SageMaker::NotebookInstance"],
        "peering connection, route to the server": types["AWS::EC2::VPCPeeringConnection"],
        "routes and rules for each client": types["AWS::EC2::Route"] and not types["AWS::EC2::VPC"],
    }
    return {label for label, found in present.items() if found}


def test_the_diagram_of_trust_shows_every_trust(example_deployment: Deployment) -> None:
    """Each arrow is a statement in a template, and each statement an arrow."""
    found = {
        (who, label, _label(role))
        for role in example_deployment.of_type("AWS::IAM::Role")
        if role.id.startswith("FL-")
        for statement in statements(role.properties["AssumeRolePolicyDocument"])
        for who, label in [_trusted(statement)]
    }
    passes = {
        (_label(role), "PassRole", _label(example_deployment.role(statement["Resource"][0])))
        for role in example_deployment.of_type("AWS::IAM::Role")
        for policy in role.properties["Policies"]
        for statement in statements(policy["PolicyDocument"])
        if "iam:PassRole" in statement["Action"]
    }
    assert edges("Trust: who may assume which role") == found | passes


def _label(role: Resource) -> str:
    return f"{PARTY[role.account]}: {role.id}"


def _trusted(statement: dict[str, dict[str, dict[str, str]]]) -> tuple[str, str]:
    condition = statement.get("Condition", {})
    if "Service" in statement["Principal"]:
        return str(statement["Principal"]["Service"]), ""
    arn = condition["ArnEquals"]["aws:PrincipalArn"]
    account, name = arn.split(":")[4], arn.partition("/")[2]
    short = name.removesuffix(f"-{account}-us-east-1")
    return f"{PARTY[account]}: {short}", "ExternalId" if "StringEquals" in condition else ""


def test_the_diagram_of_connections_is_the_whole_table(example_deployment: Deployment) -> None:
    """What can open a connection to what, as derived from the templates."""
    found = {
        (_host(one), f"{protocol} {low}", _host(other))
        for (one, other), ports in Network(example_deployment).table().items()
        for protocol, low, _ in ports
    }
    assert edges("Who reaches whom") == found


def _host(name: str) -> str:
    kind, _, where = name.partition(" ")
    if kind == "S3":
        return "S3"
    if kind == "endpoint":
        return "server: endpoints"
    return f"{'server' if where.startswith('Server') else 'client'}: {kind}"


def test_the_cost_page_counts_what_is_deployed(example_deployment: Deployment) -> None:
    """Its table has each kind of resource that costs by the month, as often as the templates do."""
    page = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in page.splitlines()
        if line.startswith(("| ServerNetworkStack", "| ServerStack", "| Client"))
    ]
    counted = Counter(it.type for it in example_deployment.resources)
    interfaces = [
        it
        for it in example_deployment.of_type("AWS::EC2::VPCEndpoint")
        if it.properties["VpcEndpointType"] == "Interface"
    ]
    zones = {len(it.properties["SubnetIds"]) for it in interfaces}
    assert f"| {len(interfaces)} interface endpoints in {zones.pop()} zone |" in page
    assert (
        sum("| notebook `ml.t3.medium`" in row for row in rows) == counted["AWS::SageMaker::NotebookInstance"]
    )
    assert sum("| key |" in row for row in rows) == counted["AWS::KMS::Key"]
    assert f"{len(interfaces) * 0.01 * 730:.2f}" in page


def test_the_clean_up_page_names_every_bucket(example_deployment: Deployment) -> None:
    """The operator must empty each, so each is listed, with its stack."""
    page = (ROOT / "docs/how-to-clean-up.md").read_text(encoding="utf-8")
    for bucket in example_deployment.of_type("AWS::S3::Bucket"):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {bucket.stack} |")]
        assert f"`{bucket.id.replace(bucket.account, '<account>')}`" in row


def test_the_pages_name_no_key_that_the_configuration_lacks() -> None:
    """Every `key = value` in a page is a key."""
    keys = {key for table in (Settings, Server, Client) for key in table.model_fields}
    for page in PAGES:
        for key in re.findall(r"`([a-z_]+) = [^`]*`", page.read_text(encoding="utf-8")):
            assert key in keys, (page.name, key)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """No link to a page of ours is dead."""
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))  # a pattern in code is no link
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target


def test_the_index_lists_every_page() -> None:
    """A page that the index does not list is found neither there nor on the site."""
    index = ROOT / "docs" / "index.md"
    links = re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8"))
    listed = [(index.parent / link).resolve() for link in links]
    assert sorted(listed) == sorted(set(ALL_PAGES) - {index})


def test_the_readme_draws_only_arrows_that_exist() -> None:
    """Each arrow of its diagram is one of the diagrams that are derived from the templates."""
    shown = arrows(README.partition("```mermaid\n")[2].partition("```")[0].replace("    ", "").splitlines())
    assert shown
    assert shown <= edges("Trust: who may assume which role") | edges("Who reaches whom")


def test_the_readme_promises_what_was_measured() -> None:
    """The numbers of its first screen are those of the benchmarks and of the table of faults."""
    first = " ".join(README.partition("![")[0].split())
    ours = re.search(r"\| ours, fedavg \| [\d.]+ \| ([\d.]+) \|", RESULTS)
    heart = re.search(r"\| ours, fednewton, (\d+) rounds \|.*\| (\S+) \|$", RESULTS, flags=re.MULTILINE)
    times = re.findall(r"^\| (?:NVFlare|.*SuperNodes).* \| (\d+) \| \d+ \|$", RESULTS, flags=re.MULTILINE)
    assert ours
    assert heart
    assert len(times) == 2
    assert f"a round takes {1000 * float(ours[1]):.0f} ms" in first
    assert f"after {heart[1]} rounds" in first
    assert f"are {heart[2]} (relative)" in first
    assert all(f"{it} times faster" in first for it in times)
    faults = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").count("\n| ") - 1
    assert f"Each of the {faults} [faults]" in first


def test_the_site_links_as_the_repository_does() -> None:
    """Pages outside docs/ are found on the site, and a file that is no page is named without a link."""
    assert docs_site.relinked("[a](../SECURITY.md#b)", "cost.md") == "[a](SECURITY.md#b)"
    assert docs_site.relinked("[a](../cost.md)", "decisions/0001-x.md") == "[a](../cost.md)"
    assert docs_site.relinked("[a](docs/cost.md)", "readme.md") == "[a](cost.md)"
    assert docs_site.relinked("[a](../README.md)", "benchmarks/RESULTS.md") == "[a](../readme.md)"
    assert docs_site.relinked("[a](config/example.toml)", "readme.md") == "a"
    for kept in ("[a](https://b.c)", "[a](nowhere.md)"):
        assert docs_site.relinked(kept, "readme.md") == kept
