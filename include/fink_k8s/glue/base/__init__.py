"""What every room uses: errors, names, form fields, clients."""
