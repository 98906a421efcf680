"""What methods, fills, metrics and plugins import; it is stable. Read this first."""
