"""`python -m guarita`: the `guarita` command."""

from guarita.cli import main

if __name__ == "__main__":
    main()
