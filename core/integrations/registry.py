"""Connector by name."""

from core.integrations.aws_security_hub.connector import SecurityHub
from core.integrations.base import Connector
from core.integrations.discord.connector import Discord
from core.integrations.elastic.connector import Elastic
from core.integrations.email.connector import Email
from core.integrations.google_secops.connector import GoogleSecOps
from core.integrations.jira.connector import Jira
from core.integrations.microsoft_sentinel.connector import MicrosoftSentinel
from core.integrations.pagerduty.connector import PagerDuty
from core.integrations.qradar.connector import QRadar
from core.integrations.servicenow.connector import ServiceNow
from core.integrations.slack.connector import Slack
from core.integrations.splunk.connector import Splunk
from core.integrations.teams.connector import Teams
from core.integrations.webhook.connector import Webhook
from core.integrations.zendesk.connector import Zendesk
from core.platform.errors import NotFound, did_you_mean

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
