#!/bin/bash
# The date by the incident's clock; what is said relative to now is relative to that.
date=/usr/bin/date
now=$(curl -s --fail @CLOCK@/now) || exec "$date" "$@"

moment() {
  if [[ $1 =~ ^@ || $1 =~ [0-9]{4}-[0-9]{2} ]] || [[ ! $1 =~ (sec|min|hour|day|week|month|year|now|ago) ]]; then
    echo "$1"
  else
    echo "$("$date" -u -d "@$now" '+%F %T') UTC ${1//now/}"
  fi
}

arguments=() given=
while (($#)); do
  case $1 in
    -d | --date) arguments+=(-d "$(moment "${2-}")"); given=yes; shift ;;
    -ud) arguments+=(-u -d "$(moment "${2-}")"); given=yes; shift ;;
    --date=*) arguments+=(-d "$(moment "${1#*=}")"); given=yes ;;
    -d*) arguments+=(-d "$(moment "${1#-d}")"); given=yes ;;
    -r* | --reference* | -f* | --file* | -s* | --set* | --help | --version) arguments+=("$1"); given=yes ;;
    *) arguments+=("$1") ;;
  esac
  (($#)) && shift
done
[[ $given ]] || arguments+=(-d "@$now")
exec "$date" "${arguments[@]}"
