"""CloudFormation stacks: a network and a server stack, and one stack per client."""
