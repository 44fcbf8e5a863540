"""CloudFormation of a federation: one network and one server stack, and one stack for each client."""
