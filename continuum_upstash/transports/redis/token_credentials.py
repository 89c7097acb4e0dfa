"""The token as the password of a TCP connection, if it may change."""

from __future__ import annotations

from redis import CredentialProvider

from continuum_upstash.config.token_reader import TokenReader


class TokenCredentials(CredentialProvider):
    """Reads the token for each new connection."""

    def __init__(self, username: str, reader: TokenReader) -> None:
        self._username = username
        self._reader = reader

    def get_credentials(self) -> tuple[str, str]:
        return self._username, self._reader.read()

    async def get_credentials_async(self) -> tuple[str, str]:
        return self._username, await self._reader.aread()
