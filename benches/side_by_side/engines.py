"""The proxies that are measured, each as its own documentation says it is fast."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .machine import Running

INSTALL = "apt-get install nginx-light haproxy (Debian, Ubuntu), or your system's packages"

NGINX = """
daemon off; master_process on; worker_processes 1; worker_rlimit_nofile 20000;
pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_timeout 75s; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream backends {{ {servers} {keepalive} }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location / {{
      proxy_pass http://backends; {hop} proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
  option forwardfor
frontend front
  bind 127.0.0.1:{port}
  default_backend backends
backend backends
  balance roundrobin
{servers}
"""


@dataclass
class Proxy:
    """One that runs, in front of backends of its own or of everybody."""

    name: str
    port: int
    running: Running

    def pids(self):
        return self.running.pids()

    def stop(self):
        self.running.stop()


class Engines:
    """Starts proxies. `cpu` is where each of them runs, alone; `scratch` takes their files."""

    def __init__(self, scratch, lbdev, wanted, cpu=None):
        self.scratch, self.lbdev, self.cpu = scratch, lbdev, cpu
        self.next_port = 19000
        self.names = [name for name in wanted if name == "builtin" or shutil.which(name)]
        self.missing = [name for name in wanted if name not in self.names]

    def start(self, name, backends, **how):
        """`backends` is a range of ports. Returns when it answers connections."""
        port, self.next_port = self.next_port, self.next_port + 1
        folder = self.scratch / f"{name}-{port}"
        folder.mkdir()
        argv, env = getattr(self, f"_{name}")(folder, port, backends, **how)
        running = Running(argv, folder / "out.log", self.cpu, cwd=folder, env={**os.environ, **env})
        running.until_listens(port)
        return Proxy(name, port, running)

    def _builtin(self, folder, port, backends):
        listed = f"{backends.start}-{backends.stop - 1}" if len(backends) > 1 else str(backends.start)
        argv = [self.lbdev, "up", "--external", listed, "--listen", f"localhost:{port}"]
        return argv, home(folder)

    def _nginx(self, folder, port, backends, kept_alive=True):
        """`kept_alive`: connections to backends are used again, which nginx has to be told."""
        text = NGINX.format(
            folder=folder,
            port=port,
            servers=" ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in backends),
            keepalive="keepalive 2048; keepalive_requests 1000000000;" if kept_alive else "",
            hop='proxy_http_version 1.1; proxy_set_header Connection "";' if kept_alive else "",
        )
        file = folder / "nginx.conf"
        file.write_text(text)
        return ["nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / "nginx.log")], {}

    def _haproxy(self, folder, port, backends):
        servers = "\n".join(f"  server s{one} 127.0.0.1:{one} pool-max-conn -1" for one in backends)
        file = folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(port=port, servers=servers))
        return ["haproxy", "-db", "-f", str(file)], {}


def home(folder):
    """The environment of an lbdev that knows nothing of the instances of whoever runs this."""
    return {"XDG_STATE_HOME": str(Path(folder) / "state"), "HOME": str(folder), "NO_COLOR": "1"}
