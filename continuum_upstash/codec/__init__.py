"""Values to stored bytes and back."""

from continuum_upstash.codec.codec import Codec, DecodeError

__all__ = ["Codec", "DecodeError"]
