"""Objects between the bucket and the disk: listing, transferring, checking, remembering.

Knows of keys, sizes and checksums, and nothing of crops, jobs or screens. The S3 clients are imported
inside the functions that need them.
"""
