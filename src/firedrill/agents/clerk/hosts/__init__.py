"""Requirements about hosts of RHEL 9: a playbook that collects lines, and Rego over them.

Each family reads the words and gives :class:`Template`, or None where they are about something else.
"""
