"""Values to stored bytes and back."""

from continuum_upstash.codec.codec import Codec, Undecodable

__all__ = ["Codec", "Undecodable"]
