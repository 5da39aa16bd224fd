"""What every room shares: errors, specs, files, tables, device, progress, records. Imports no other room."""
