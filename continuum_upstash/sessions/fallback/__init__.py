"""SESSION_FALLBACK_ENGINE; imported only if it is set."""
