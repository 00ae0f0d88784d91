"""``python -m loradar``, the same as the command ``loradar``."""

from loradar.cli.app import main

if __name__ == "__main__":
    main()
