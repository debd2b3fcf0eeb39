"""What an installation is: settings, surveys, releases, nights."""
