"""Tools for assessments: what collects evidence, writes and tries out policies, and tells what is wrong."""
