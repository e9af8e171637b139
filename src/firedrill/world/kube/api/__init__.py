"""The API server: requests in, objects and `Status` answers out."""

from firedrill.world.kube.api.client import Client
from firedrill.world.kube.api.errors import ApiError
from firedrill.world.kube.api.request import Request, Response, User
from firedrill.world.kube.api.server import handle

__all__ = ["ApiError", "Client", "Request", "Response", "User", "handle"]
