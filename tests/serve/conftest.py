"""What tests of the server share: servers that end with their module, and a Redis."""

import shutil
import subprocess
from contextlib import ExitStack, closing

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from tests.serve.server import Server, free_port

NO_REDIS = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """A function (arguments, limits) -> a server that runs."""
    place = tmp_path_factory.mktemp
    with ExitStack() as stack:
        yield lambda *how, **limits: stack.enter_context(closing(Server(place("serve") / "folder", *how, **limits)))


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=NO_REDIS)])
def redis(request, tmp_path):
    """None, or the address of a Redis of its own."""
    if request.param == "sqlite":
        yield None
        return
    call = ["redis-server", "--port", str(port := free_port()), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL) as process:
        Redis(port=port, retry=Retry(ConstantBackoff(0.1), 1000)).ping()
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()
