"""What a network learns from and how it learns: configuration, patches, models, the loop."""
