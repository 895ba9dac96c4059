"""The clients: send and fetch, blocking and for asyncio, and decoders from a registry."""
