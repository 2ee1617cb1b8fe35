"""Data: decoding images, describing datasets by a schema, and comparing them."""
