"""The load programs of the benchmarks, in C so that they do not limit what they measure.

`upstream` is what the servers call, `client` is who calls the servers; each is one thread that
waits with epoll, and `build` compiles both on demand. They print what they have to say on stdout,
and speak only to 127.0.0.1.
"""
