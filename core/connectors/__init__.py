"""Connector by name."""

from core.connectors.aws_security_hub import SecurityHub
from core.connectors.base import Connector
from core.connectors.discord import Discord
from core.connectors.elastic import Elastic
from core.connectors.email import Email
from core.connectors.google_secops import GoogleSecOps
from core.connectors.jira import Jira
from core.connectors.microsoft_sentinel import MicrosoftSentinel
from core.connectors.pagerduty import PagerDuty
from core.connectors.qradar import QRadar
from core.connectors.servicenow import ServiceNow
from core.connectors.slack import Slack
from core.connectors.splunk import Splunk
from core.connectors.teams import Teams
from core.connectors.webhook import Webhook
from core.connectors.zendesk import Zendesk
from core.errors import NotFound, did_you_mean

CONNECTORS: dict[str, type[Connector]] = {
    "splunk": Splunk,
    "aws_security_hub": SecurityHub,
    "elastic": Elastic,
    "qradar": QRadar,
    "jira": Jira,
    "slack": Slack,
    "google_secops": GoogleSecOps,
    "microsoft_sentinel": MicrosoftSentinel,
    "servicenow": ServiceNow,
    "zendesk": Zendesk,
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
