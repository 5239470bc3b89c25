"""Settings: what a user chooses, and the one place where a name becomes an object."""

from jensen.config.settings import Settings, read_run_settings, read_settings, write_config

__all__ = ["Settings", "read_run_settings", "read_settings", "write_config"]
