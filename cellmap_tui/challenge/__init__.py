"""Facts of the challenge: classes, crops, manifests, the filter language, the folder and bucket layout."""
