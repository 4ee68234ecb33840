"""The HTTP edge, on Litestar."""
