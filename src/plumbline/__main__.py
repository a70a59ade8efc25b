"""`python -m plumbline`: the command line."""

from plumbline.cli.main import main

if __name__ == "__main__":
    main()
