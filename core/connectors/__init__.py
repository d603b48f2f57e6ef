"""Connector by name."""

from core.connectors.base import Connector
from core.connectors.jira import Jira
from core.connectors.slack import Slack
from core.connectors.splunk import Splunk
from core.errors import NotFound, did_you_mean

CONNECTORS: dict[str, type[Connector]] = {
    "splunk": Splunk,
    "jira": Jira,
    "slack": Slack,
}


def connector(slug: str) -> type[Connector]:
    """Raises NotFound that names the nearest one."""
    if slug not in CONNECTORS:
        hint = did_you_mean(slug, CONNECTORS)
        raise NotFound(f'There is no connector "{slug}".{hint} There are: {", ".join(sorted(CONNECTORS))}.')
    return CONNECTORS[slug]
