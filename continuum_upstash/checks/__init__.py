"""System checks of a site that uses the package."""
