"""Jobs: run directories, processes that outlive the terminal, watching and control."""
