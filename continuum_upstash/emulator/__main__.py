import argparse
import sys

from continuum_upstash.emulator.cli import CannotStart, add_arguments, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m continuum_upstash.emulator",
        description="A local server that provides the Upstash REST API in front of a real Valkey "
        "server. For development and tests; it is not a production proxy.",
    )
    add_arguments(parser)
    try:
        run(vars(parser.parse_args()))
    except CannotStart as error:
        sys.exit(f"upstash-emulator: {error}")


if __name__ == "__main__":
    main()
