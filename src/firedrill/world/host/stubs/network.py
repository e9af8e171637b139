"""ss, chronyc, timedatectl, hostnamectl, postconf."""

from __future__ import annotations

from firedrill.world.host.effective import mailconf, timesync, units
from firedrill.world.host.records import Host, Listen
from firedrill.world.host.stubs.answering import Answer, gap
from firedrill.world.host.stubs.words import UnknownOptionError, read


def _active(host: Host, name: str) -> bool:
    unit = units.unit(host, name)
    return unit is not None and unit.active == "active"


def ss(host: Host, words: list[str], cwd: str) -> Answer:
    """``ss -lntup``: listening sockets."""
    try:
        options = read(
            words,
            (
                "-l -n -t -u -p -a -H -4 -6 -e -i -o -r -x --listening --numeric --tcp --udp "
                "--processes --no-header --all --ipv4 --ipv6"
            ),
        )
    except UnknownOptionError:
        return gap("ss", words)
    if options.has("-x") or [
        word for word in options.rest if word not in ("sport", "=", "or", "and", "(", ")")
    ]:
        wanted = {word.lstrip(":") for word in options.rest if word.startswith(":")}
        if options.has("-x") or not wanted:
            return gap("ss", words)
    else:
        wanted = set()
    kinds = [
        kind for kind, names in (("tcp", ("-t", "--tcp")), ("udp", ("-u", "--udp"))) if options.has(*names)
    ]
    found = [
        one
        for one in host.listen
        if (not kinds or one.proto.rstrip("6") in kinds)
        and not (options.has("-4", "--ipv4") and one.proto.endswith("6"))
        and not (options.has("-6", "--ipv6") and not one.proto.endswith("6"))
        and (not wanted or str(one.port) in wanted)
    ]
    named = len(kinds) != 1
    lines = []
    if not options.has("-H", "--no-header"):
        lines.append(
            ("Netid " if named else "") + "State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n"
        )
    process = options.has("-p", "--processes")
    lines += [_socket(one, named, process, number) for number, one in enumerate(found)]
    return Answer("".join(lines))


def _socket(one: Listen, named: bool, process: bool, number: int) -> str:
    kind = one.proto.rstrip("6")
    state = "LISTEN" if kind == "tcp" else "UNCONN"
    local = f"[{one.addr}]:{one.port}" if ":" in one.addr else f"{one.addr}:{one.port}"
    peer = "[::]:*" if ":" in one.addr else "0.0.0.0:*"
    user = f'users:(("{one.process}",pid={800 + number},fd=3))' if process and one.process else ""
    lead = f"{kind:<5} " if named else ""
    return (
        f"{lead}{state:<6} {0:<6} {128 if kind == 'tcp' else 0:<6} {local:>18} {peer:>17} {user}".rstrip()
        + "\n"
    )


def chronyc(host: Host, words: list[str], cwd: str) -> Answer:
    """``chronyc sources`` and ``tracking``, from the sources that chronyd would have read."""
    left = [word for word in words if not word.startswith("-")]
    if left not in (["sources"], ["sources", "-v"], ["tracking"], ["activity"]):
        return gap("chronyc", words)
    if not _active(host, "chronyd.service"):
        return Answer("506 Cannot talk to daemon\n", "", 1)
    found = timesync.sources(host)
    if left[0] == "activity":
        return Answer(f"200 OK\n{len(found)} sources online\n0 sources offline\n")
    if left[0] == "tracking":
        best = found[0][1] if found else ""
        return Answer(
            f"Reference ID    : {'C0000202' if best else '00000000'} ({best})\n"
            f"Stratum         : {3 if best else 0}\n"
            f"Leap status     : {'Normal' if best else 'Not synchronised'}\n"
        )
    head = (
        "MS Name/IP address         Stratum Poll Reach LastRx Last sample               \n" + "=" * 79 + "\n"
    )
    rows = [
        f"^{'+' if number else '*'} {address[:26]:<26}    2   6   377    34   +120us[ +140us] +/-   12ms\n"
        for number, (_, address) in enumerate(found)
    ]
    return Answer(head + "".join(rows))


def timedatectl(host: Host, words: list[str], cwd: str) -> Answer:
    """``timedatectl [status | show]``."""
    on = _active(host, "chronyd.service")
    zone = (host.files["/etc/localtime"].target if "/etc/localtime" in host.links else "UTC").partition(
        "zoneinfo/"
    )[2]
    if words and words[0] == "show":
        known = {
            "Timezone": zone or "UTC",
            "LocalRTC": "no",
            "CanNTP": "yes",
            "NTP": _word(on),
            "NTPSynchronized": _word(on),
        }
        wanted = [
            word.partition("=")[2] or word[2:] for word in words[1:] if word.startswith(("-p", "--property="))
        ]
        return Answer(
            "".join(f"{key}={value}\n" for key, value in known.items() if not wanted or key in wanted)
        )
    if [word for word in words if word not in ("status", "--no-pager")]:
        return Answer(stderr="Failed to set: Access denied\n", code=1)
    return Answer(
        f"                Time zone: {zone or 'UTC'} (UTC, +0000)\nSystem clock synchronized: {_word(on)}\n"
        f"              NTP service: {'active' if on else 'inactive'}\n          RTC in local TZ: no\n"
    )


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


def hostnamectl(host: Host, words: list[str], cwd: str) -> Answer:
    """``hostnamectl [status | hostname]``."""
    if words in (["hostname"], ["--static"], ["status", "--static"]):
        return Answer(f"{host.hostname}\n")
    if words not in ([], ["status"]):
        return Answer(stderr="Could not set property: Access denied\n", code=1)
    release = (host.read("/etc/redhat-release") or "").strip()
    return Answer(
        f" Static hostname: {host.hostname}\n       Icon name: computer-vm\n         Chassis: vm\n"
        f"      Machine ID: {(host.read('/etc/machine-id') or '').strip()}\n  Virtualization: kvm\n"
        f"Operating System: {release}\n          Kernel: Linux {host.kernel}\n    Architecture: x86-64\n"
    )


def postconf(host: Host, words: list[str], cwd: str) -> Answer:
    """``postconf [-n] [-h] [-d] [name...]``: main.cf over the built-in values that are known."""
    try:
        options = read(words, "-n -h -d -x", "-c")
    except UnknownOptionError:
        return gap("postconf", words)
    given = {} if options.has("-d") else mailconf.parameters(host.read(mailconf.MAIN) or "")
    known = {**BUILT_IN, **given}
    names = options.rest or sorted(given if options.has("-n") else known)
    if options.has("-n"):
        names = [name for name in names if name in given]
    out, err = [], []
    for name in names:
        if name not in known:
            err.append(f"postconf: warning: {name}: unknown parameter\n")
            continue
        out.append(f"{known[name]}\n" if options.has("-h") else f"{name} = {known[name]}\n")
    return Answer("".join(out), "".join(err), 0)


BUILT_IN = {
    "config_directory": "/etc/postfix",
    "inet_interfaces": "all",
    "inet_protocols": "all",
    "mydestination": "$myhostname, localhost.$mydomain, localhost",
    "mynetworks_style": "host",
    "myorigin": "$myhostname",
    "relayhost": "",
    "smtp_tls_security_level": "",
    "smtpd_tls_security_level": "",
    "mail_owner": "postfix",
    "queue_directory": "/var/spool/postfix",
    "home_mailbox": "",
    "smtpd_banner": "$myhostname ESMTP $mail_name",
}
