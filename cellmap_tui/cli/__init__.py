"""The command line: arguments in, one service call, text or JSON out."""
