"""Encodes values to stored bytes and decodes them."""

from continuum_upstash.codec.codec import Codec, DecodeError

__all__ = ["Codec", "DecodeError"]
