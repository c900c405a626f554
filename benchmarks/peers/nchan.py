"""nginx with nchan: its configuration, which is all of this peer's application.

`/watch` and `/publish` are one channel; nothing is kept for late subscribers beyond nchan's own
default of ten messages. `/first` is another, whose one message was published before by
POST to `/hello`. A subscriber has to send `Accept: text/event-stream`.
"""

from pathlib import Path

from benchmarks.peers.install import NCHAN

CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        nchan_eventsource_ping_interval 15;
        location = /ready {{ return 200 "ready\\n"; }}
        location = /watch {{
            nchan_subscriber eventsource;
            nchan_channel_id run;
            nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id run;
            nchan_eventsource_event chunk;
        }}
        location = /first {{
            nchan_subscriber eventsource;
            nchan_channel_id hello;
        }}
        location = /hello {{
            nchan_publisher;
            nchan_channel_id hello;
            nchan_message_timeout 0;
            nchan_eventsource_event hello;
        }}
    }}
}}
"""


def nginx(port: int, upstream_url: str, folder: Path) -> list[str]:
    """Write the configuration into the folder; return the command."""
    text = CONFIGURATION.format(module=NCHAN, folder=folder, port=port)
    (folder / "nginx.conf").write_text(text)
    return ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
