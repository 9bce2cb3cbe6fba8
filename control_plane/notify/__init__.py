"""Brings messages to people: mail, Slack, Teams, PagerDuty and signed webhooks, from the outbox."""
