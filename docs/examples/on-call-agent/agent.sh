#!/bin/bash
# An on-call engineer of forty lines, without a model: takes back the latest release of whatever does not come up,
# waits until the alerts are over, and says what it did. What it cannot explain it hands to a person.
set -u
namespace=$(jq -r .on_call.namespace "$FIREDRILL_TASK_JSON")
alerts=$(jq -c '[.on_call.alerts[].name]' "$FIREDRILL_TASK_JSON")

firing() {
  curl -s "$ALERTMANAGER_URL/api/v2/alerts" |
    jq -r --argjson told "$alerts" '.[].labels.alertname | select(IN($told[]))' | sort -u
}

broken=$(kubectl -n "$namespace" get deployments -o json |
  jq -r '.items[] | select(.status.unavailableReplicas // 0 > 0) | .metadata.name')
causes='[]' changes='[]'
for name in $broken; do
  revisions=$(kubectl -n "$namespace" rollout history "deployment/$name" | grep -c '^[0-9]')
  [ "$revisions" -gt 1 ] || continue
  kubectl -n "$namespace" rollout undo "deployment/$name" || continue
  kubectl -n "$namespace" rollout status "deployment/$name" --timeout=5m
  causes=$(jq -c --arg name "$namespace/Deployment/$name" \
    '. + [{name: $name, reasoning: "its latest release does not come up, and the one before does"}]' <<< "$causes")
  changes=$(jq -c --arg what "kubectl rollout undo deployment/$name" \
    '. + [{what: $what, why: "pods of the latest release do not get ready"}]' <<< "$changes")
done

if [ "$causes" != '[]' ]; then
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 60 # of the incident's clock
    [ -n "$(firing)" ] || break
  done
fi
reason=''
[ "$causes" != '[]' ] && [ -z "$(firing)" ] || reason='no release explains it'
jq -n --argjson causes "$causes" --argjson changes "$changes" --arg reason "$reason" \
  '{contributing_factors: $causes, propagations: [], changes: $changes}
   + if $reason == "" then {} else {escalate: true, escalate_reason: $reason} end' > "$FIREDRILL_ANSWER"
