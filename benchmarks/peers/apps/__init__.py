"""The peers' applications; what each is started with stands in `benchmarks.peers.table`."""
