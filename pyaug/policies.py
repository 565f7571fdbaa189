"""stub, being written"""

from pyaug.policy import Policy


def resolve(policy):
    return policy if isinstance(policy, Policy) else Policy.load(policy)
