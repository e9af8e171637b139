"""A policy at work: the guard that a gateway asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from firedrill.gateway.kubernetes.guarding import Decision
from firedrill.tools.authority.approvers import Approver, approver_of
from firedrill.tools.authority.matching import Case, fits
from firedrill.tools.authority.model import Policy, Rule
from firedrill.tools.authority.telling import ASKED, DENIED

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes.guarding import Asked

_READ = Rule(name="reads", effect="allow")
_UNSAID = "what a policy does not say is read-only"


class Authority:
    """Decides about the requests of one episode. Give it to `Host.guard`.

    Args:
        policy: what is allowed.
        approver: who is asked instead of the policy's own.
        put: how a person is reached, where the policy's approver is one.

    Raises:
        InputError: the policy wants a person, and nobody is there.
    """

    def __init__(
        self,
        policy: Policy,
        approver: Approver | None = None,
        put: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self.policy = policy
        if approver is None and policy.approver is not None:
            approver = approver_of(policy.approver, put)
        self._approver = approver
        self._spent: dict[str, int] = {}

    async def decide(self, asked: Asked) -> Decision:
        """See `Guard`."""
        case = Case(asked)
        rule = self._rule(case)
        if rule.effect == "deny":
            return Decision("deny", rule.name, reason=rule.reason)
        if asked.refusal or rule.effect == "allow":
            # what the API refuses anyway is nobody's question
            self._spend(rule, asked)
            return Decision("allow", rule.name, warning=self._foretold(asked))
        if self._approver is None:
            return Decision("deny", rule.name, reason="somebody would have to be asked, and nobody can be")
        answer = await self._approver.ask(case, rule)
        if answer.approved:
            self._spend(rule, asked)
        reason = answer.reason or ("" if answer.approved else f"{self._approver.name} said no")
        effect = "allow" if answer.approved else "deny"
        return Decision(
            "allow" if effect == "allow" else "deny",
            rule.name,
            asked=True,
            approver=self._approver.name,
            waited_ms=answer.waited_ms,
            reason=reason,
        )

    def _rule(self, case: Case) -> Rule:
        asked = case.asked
        for rule in self.policy.rules:
            if not fits(rule.match, case, permits=rule.effect == "allow"):
                continue
            if rule.budget is None or self._spent.get(rule.name, 0) + max(asked.count, 1) <= rule.budget:
                return rule
        unmatched = self.policy.unmatched
        if asked.writes:
            return Rule(
                name="unsaid", effect=unmatched.write, reason=_UNSAID if unmatched.write == "deny" else ""
            )
        return _READ if unmatched.read == "allow" else Rule(name="unsaid", effect=unmatched.read)

    def _foretold(self, asked: Asked) -> str:
        """What would become of a request that is let through because it is a dry run, in a sentence."""
        if not asked.dry_run or asked.refusal:
            return ""
        rule = self._rule(Case(replace(asked, dry_run=False)))
        if rule.effect == "deny" or (rule.effect == "ask" and self._approver is None):
            return f"{DENIED}: {rule.reason or 'nobody could be asked'} (rule {rule.name})"
        if rule.effect == "ask" and self._approver is not None:
            return f"{ASKED} {self._approver.name} (rule {rule.name})"
        return ""

    def _spend(self, rule: Rule, asked: Asked) -> None:
        if rule.budget is not None and not asked.dry_run and not asked.refusal:
            self._spent[rule.name] = self._spent.get(rule.name, 0) + max(asked.count, 1)
