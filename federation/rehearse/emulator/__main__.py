"""The embedded AWS as a process: read the settings from standard input, then serve until that ends."""

import asyncio
import shutil
import signal
import sys
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from federation.rehearse.machine.parent_watch import end_with_parent
from federation.rehearse.machine.settings import EmulatorSettings


def main() -> None:
    """Serve every AWS API on the inherited socket."""
    settings = EmulatorSettings.from_json(sys.stdin.readline())
    from federation.rehearse.emulator import ministack_tables, plugin
    from federation.rehearse.emulator.http.large_bodies import bound_bodies
    from federation.rehearse.emulator.http.loopback_only import refuse_browsers
    from federation.rehearse.emulator.sagemaker.session_endpoint import Sessions, serve_sessions

    sessions = Sessions(settings.endpoint_url)
    instances = plugin.install(settings, sessions)
    application = refuse_browsers(serve_sessions(bound_bodies(ministack_tables.app.app), sessions))

    def clean_up() -> None:
        instances.kill_all(for_ever=True)
        shutil.rmtree(settings.scratch, ignore_errors=True)

    end_with_parent(clean_up)
    config = Config()
    config.bind = [f"fd://{settings.listening_fd}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    config.accesslog = None
    try:
        asyncio.run(_serve(config, application))
    finally:  # a stray SIGTERM
        clean_up()


async def _serve(config: Config, application: Any) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(application, config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    main()
