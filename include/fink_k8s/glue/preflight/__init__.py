"""What must hold before anything is made."""
