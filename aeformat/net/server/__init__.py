"""The server: resources, uploads, storage, and HTTP/1.1 on its connections."""
