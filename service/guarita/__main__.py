"""`python -m guarita`: the `guarita` command."""

from guarita.entry import main

if __name__ == "__main__":
    main()
