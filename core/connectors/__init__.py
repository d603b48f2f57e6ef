"""Connector by name."""

from core.connectors.base import Connector
from core.connectors.discord import Discord
from core.connectors.email import Email
from core.connectors.jira import Jira
from core.connectors.pagerduty import PagerDuty
from core.connectors.slack import Slack
from core.connectors.splunk import Splunk
from core.connectors.teams import Teams
from core.connectors.webhook import Webhook
from core.errors import NotFound, did_you_mean

CONNECTORS: dict[str, type[Connector]] = {
    "splunk": Splunk,
    "jira": Jira,
    "slack": Slack,
    "teams": Teams,
    "pagerduty": PagerDuty,
    "discord": Discord,
    "email": Email,
    "webhook": Webhook,
}


def connector(slug: str) -> type[Connector]:
    """Raises NotFound that names the nearest one."""
    if slug not in CONNECTORS:
        hint = did_you_mean(slug, CONNECTORS)
        raise NotFound(f'There is no connector "{slug}".{hint} There are: {", ".join(sorted(CONNECTORS))}.')
    return CONNECTORS[slug]
