"""What a user could take instead of fanstream, each as a small application of its own.

`apps/` has one application for each peer, written as its documentation shows it and as fast as is
natural there: no access log, uvloop and httptools where the stack takes them, clients that are
shared by the process. Every one answers the same paths, as far as its workloads need them:
`/fanout/delays`, `/fanout/none`, `/flat?lines=N`, `/watch` with `/start?lines=N&rate=R`, `/first`.
`table` names them and how each is started, `running` starts one and ends it, and `install` makes
the environments that they run in, below `.bench/`.
"""
