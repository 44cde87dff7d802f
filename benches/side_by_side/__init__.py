"""What `benches/side-by-side` is made of. `run` is the contents page."""
