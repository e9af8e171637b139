#!/bin/sh
# Lets time pass on the incident's clock; this machine's says nothing of it.
[ $# -gt 0 ] || { echo "sleep: missing operand" >&2; exit 1; }
said=$(curl -s --fail-with-body --data-raw "$*" @CLOCK@/wait) && exit 0
echo "sleep: ${said:-the incident's clock does not answer}" >&2
exit 1
