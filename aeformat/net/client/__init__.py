"""The client's side: sending and fetching, blocking and for asyncio, and decoders fetched from a server."""
