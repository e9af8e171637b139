"""Recording and alerting rules, and silences."""

from firedrill.world.telemetry.rules.book import RuleBook
from firedrill.world.telemetry.rules.model import Alert, Group, Health, Rule
from firedrill.world.telemetry.rules.reading import read_groups, read_rules
from firedrill.world.telemetry.rules.silences import Silence, Silences

__all__ = ["Alert", "Group", "Health", "Rule", "RuleBook", "Silence", "Silences", "read_groups", "read_rules"]
